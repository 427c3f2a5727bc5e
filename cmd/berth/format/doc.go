// Package format prints rows the way docker's --format does.
//
//	""                 the command's own table
//	table TEMPLATE     a table with that template's columns
//	json               one JSON object a line
//	TEMPLATE           one line a row
//
// A row is a struct; its exported fields and methods are what templates may
// name. Safe makes foreign text harmless for terminals. Human turns times and
// sizes into docker's words.
package format
