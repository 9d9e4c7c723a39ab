package filter

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar, from what binds least to what binds most.

type disjunction struct {
	Terms []*conjunction `parser:"@@ ( ( '||' | 'or' ) @@ )*"`
}

type conjunction struct {
	Terms []*comparison `parser:"@@ ( ( '&&' | 'and' ) @@ )*"`
}

type comparison struct {
	Pos      lexer.Position
	Left     *operand `parser:"@@"`
	Operator string   `parser:"( @( '==' | '!=' | '<=' | '>=' | '<' | '>' | 'eq' | 'ne' | 'le' | 'ge' | 'lt' | 'gt' )"`
	Right    *operand `parser:"@@ )?"`
}

type operand struct {
	Nots  []string `parser:"@( '!' | 'not' )*"`
	Value *value   `parser:"@@"`
	Steps []*step  `parser:"@@*"`
}

type value struct {
	Pos     lexer.Position
	Text    *string      `parser:"  @Text"`
	Number  *string      `parser:"| @( '-'? Number )"`
	True    bool         `parser:"| @'true'"`
	False   bool         `parser:"| @'false'"`
	Null    bool         `parser:"| @'null'"`
	Name    *string      `parser:"| @Name"`
	Grouped *disjunction `parser:"| '(' @@ ')'"`
}

type step struct {
	Selection *disjunction `parser:"( '.' | '?.' ) ( '?[' @@ ']'"`
	Member    *member      `parser:"                | @@ )"`
}

type member struct {
	Pos  lexer.Position
	Name string `parser:"@Name"`
	Call *call  `parser:"@@?"`
}

type call struct {
	Arguments []*disjunction `parser:"'(' ( @@ ( ',' @@ )* )? ')'"`
}

var grammar = participle.MustBuild[disjunction](
	participle.Lexer(lexer.MustSimple([]lexer.SimpleRule{
		{Name: "Space", Pattern: `\s+`},
		{Name: "Text", Pattern: `'(?:[^']|'')*'|"(?:[^"]|"")*"`},
		{Name: "Number", Pattern: `\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`},
		{Name: "Name", Pattern: `[\pL_$][\pL\pN_$]*`},
		{Name: "Sign", Pattern: `\|\||&&|==|!=|<=|>=|\?\.|\?\[`},
		{Name: "Other", Pattern: `(?s:.)`},
	})),
	participle.Elide("Space"),
	participle.CaseInsensitive("Name"),
)
