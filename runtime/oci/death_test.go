package oci

func dieAt(string) {}
