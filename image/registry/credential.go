package registry

import (
	"context"
	"os"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/berth-engine/berth/internal/fault"
)

// dockerCredential reads docker's config file (auths, credsStore, credHelpers)
// when the first registry asks for a login, so that public pulls never start a
// credential helper. A helper that fails is an error, not an anonymous pull.
func dockerCredential() auth.CredentialFunc {
	open := sync.OnceValues(func() (credentials.Store, error) {
		if os.Getenv("DOCKER_CONFIG") == "" {
			if _, err := os.UserHomeDir(); err != nil {
				return credentials.NewMemoryStore(), nil
			}
		}
		return credentials.NewStoreFromDocker(credentials.StoreOptions{})
	})
	return func(ctx context.Context, host string) (auth.Credential, error) {
		store, err := open()
		if err != nil {
			return auth.EmptyCredential, fault.New(fault.Invalid, "docker's config.json: %w", err)
		}
		c, err := credentials.Credential(store)(ctx, host)
		if err != nil {
			return auth.EmptyCredential, fault.New(fault.Denied, "credentials for %s: %w", host, err)
		}
		return c, nil
	}
}
