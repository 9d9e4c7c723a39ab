package filter

import "context"

// MatchUninterruptibly is Match by the program that cannot be interrupted.
func (f *Filter) MatchUninterruptibly(e *Event) (bool, error) {
	return f.run(f.program, &environment{}, e)
}

// MatchInterruptibly is Match by the program that can be interrupted.
func (f *Filter) MatchInterruptibly(ctx context.Context, e *Event) (bool, error) {
	return f.matchInterruptibly(ctx, e)
}
