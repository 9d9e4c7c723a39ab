package hooks

import (
	"errors"
	"fmt"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// The errors that an application can tell apart with [errors.Is].
var (
	// ErrNotFound: the tenant has no such hook, event or delivery.
	ErrNotFound = errors.New("not found")
	// ErrDuplicate: the ID is taken.
	ErrDuplicate = errors.New("duplicate id")
	// ErrConflict: the state of the hook or delivery does not allow the change.
	ErrConflict = errors.New("conflict")
	// ErrTooManyHooks: the tenant has as many hooks as it may have, see
	// [Config].MaxHooks.
	ErrTooManyHooks = errors.New("too many hooks")
	// ErrBusy: the tenant has as many calls of [Manager.Test] and
	// [Manager.Verify] under way as it may have, or there was no slot for
	// one of them. It can try again in a while.
	ErrBusy = errors.New("busy")
	// ErrForeignTx: the transaction is in another database than the store, so its
	// events would never be delivered.
	ErrForeignTx = errors.New("the transaction is not one of the store's database")
	// ErrRunning: [Manager.Run] is running already.
	ErrRunning = errors.New("the manager is running already")
	// ErrSealed: the secret part of a hook cannot be decrypted, because its key is
	// missing, or because what is stored was altered or belongs to another hook.
	ErrSealed = errors.New("the hook cannot be decrypted")
)

// An InvalidError refuses input; nothing was changed.
type InvalidError struct {
	// Field names what is wrong, as a path such as "events[2]" or
	// "config.lease".
	Field string
	// Reason is the rule it breaks, as the end of a sentence that starts with
	// the field: "must not be empty".
	Reason string
	// Hint says what would permit the input, such as a field of [Config]. It is
	// for the operator of the application. Users of an API get Field and Reason
	// only. It may be empty.
	Hint string
}

// Error returns the field and the reason, and the hint in parentheses, with escapes
// for what is not printable.
func (e *InvalidError) Error() string {
	return printable(fmt.Sprintf("invalid %s: %s%s", e.Field, e.Reason, egress.InParentheses(e.Hint)))
}
