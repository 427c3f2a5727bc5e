package format

import (
	"bytes"
	"reflect"
	"text/template"
	"text/template/parse"
)

// plain is a template of nothing but text and names of string fields, as the
// tables of all commands are. It needs no text/template for each row.
type plain []part

// part is text, or a field of the row.
type part struct {
	text  string
	field int // its index; text: -1
}

// plainOf takes a template apart. It is not ok when the template does more, or
// names what is not a string in a row.
func plainOf(t *template.Template, row reflect.Type) (p plain, ok bool) {
	if t.Tree == nil || row.Kind() != reflect.Struct {
		return nil, false
	}
	for _, n := range t.Root.Nodes {
		if n, ok := n.(*parse.TextNode); ok {
			p = append(p, part{text: string(n.Text), field: -1})
			continue
		}
		f, ok := row.FieldByName(fieldName(n))
		if !ok || !f.IsExported() || len(f.Index) != 1 || f.Type != reflect.TypeFor[string]() {
			return nil, false
		}
		p = append(p, part{field: f.Index[0]})
	}
	return p, true
}

// fieldName is X of {{.X}}, and empty for whatever else.
func fieldName(n parse.Node) string {
	a, ok := n.(*parse.ActionNode)
	if !ok || len(a.Pipe.Decl) > 0 || len(a.Pipe.Cmds) != 1 || len(a.Pipe.Cmds[0].Args) != 1 {
		return ""
	}
	f, ok := a.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(f.Ident) != 1 {
		return ""
	}
	return f.Ident[0]
}

// line writes one row.
func (p plain) line(b *bytes.Buffer, row reflect.Value) {
	for _, part := range p {
		if part.field < 0 {
			b.WriteString(part.text)
		} else {
			b.WriteString(row.Field(part.field).String())
		}
	}
	b.WriteByte('\n')
}
