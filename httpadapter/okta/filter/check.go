package filter

// What the grammar lets through and the language does not have is refused by
// check, so that nobody learns of it from an event that did not come. inside says
// that the expression is in a selection.

func (d *disjunction) check(inside bool) error {
	for _, conjunction := range d.Terms {
		for _, c := range conjunction.Terms {
			if err := c.Left.check(inside); err != nil {
				return err
			}
			if c.Right == nil {
				continue
			}
			if err := c.Right.check(inside); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *operand) check(inside bool) error {
	if err := o.Value.check(inside); err != nil {
		return err
	}
	for _, s := range o.Steps {
		var err error
		if s.Selection != nil {
			err = s.Selection.check(true)
		} else {
			err = s.Member.check(inside)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *value) check(inside bool) error {
	switch {
	case v.Grouped != nil:
		return v.Grouped.check(inside)
	case v.Name != nil && !inside && *v.Name != "event":
		return errorAt(v.Pos, "unknown name %q: the only one is event", *v.Name)
	case v.Name != nil && inside && *v.Name == "event":
		return errorAt(v.Pos, "event cannot be used inside of .?[ ], where names are members of the element")
	}
	return nil
}

func (m *member) check(inside bool) error {
	if m.Call == nil {
		return nil
	}
	arguments, ok := methods[m.Name]
	if !ok {
		return errorAt(m.Pos, "unknown method %s()", m.Name)
	}
	if len(m.Call.Arguments) != arguments {
		return errorAt(m.Pos, "%s() takes %d arguments, not %d", m.Name, arguments, len(m.Call.Arguments))
	}
	for _, a := range m.Call.Arguments {
		if err := a.check(inside); err != nil {
			return err
		}
	}
	return nil
}
