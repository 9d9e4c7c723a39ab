package okta

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

func (a *api) list(c *httpadapter.Call) (httpadapter.Response, error) {
	views := []hookView{}
	q := hooks.HookQuery{Tenant: c.Caller.Tenant, Protocol: Name, PageQuery: hooks.PageQuery{OldestFirst: true, Limit: hooks.MaxLimit}}
	for h, err := range a.manager.AllHooks(c.Context(), q) {
		if err != nil {
			return httpadapter.Response{}, err
		}
		view, err := viewOf(h, c.Base)
		if err != nil {
			return httpadapter.Response{}, err
		}
		views = append(views, view)
	}
	return httpadapter.Response{Status: http.StatusOK, Body: views}, nil
}

func (a *api) create(c *httpadapter.Call) (httpadapter.Response, error) {
	change, err := a.readChange(c.Body)
	if err != nil {
		return httpadapter.Response{}, err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	h := hooks.Hook{
		ID: newID(), Tenant: c.Caller.Tenant, Protocol: Name,
		MaxBatch: a.protocol.MaxBatch, BatchWindow: a.protocol.BatchWindow,
		Settings: wire.JSON(settings{CreatedBy: c.Caller.Actor}),
	}
	if err := change.apply(&h, selfLink(c.Base, h.ID)); err != nil {
		return httpadapter.Response{}, err
	}
	if err := a.checkName(c.Context(), h); err != nil {
		return httpadapter.Response{}, err
	}
	if !h.Disabled {
		if err := a.checkActive(c.Context(), h.Tenant); err != nil {
			return httpadapter.Response{}, err
		}
	}
	h, err = a.manager.Register(c.Context(), h)
	return respondHook(c, h, err)
}

const (
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	urlSafe      = alphanumeric + "-_"
)

// newID makes an ID in Okta's form.
func newID() string { return "who" + wire.RandomText(17, alphanumeric) }

func respondHook(c *httpadapter.Call, h hooks.Hook, err error) (httpadapter.Response, error) {
	if err != nil {
		return httpadapter.Response{}, err
	}
	view, err := viewOf(h, c.Base)
	return httpadapter.Response{Status: http.StatusOK, Body: view}, err
}

// checkName refuses a name that another hook has. The hook of that name, if it
// is stored, has another one there.
func (a *api) checkName(ctx context.Context, h hooks.Hook) error {
	others, err := a.manager.Hooks(ctx, hooks.HookQuery{
		Tenant: h.Tenant, Protocol: Name, Name: h.Name, PageQuery: hooks.PageQuery{Limit: 1},
	})
	if err == nil && len(others.Items) > 0 {
		err = invalid("name: An object with this field already exists in the current organization")
	}
	return err
}

// checkActive refuses one more active hook if there are too many.
func (a *api) checkActive(ctx context.Context, tenant string) error {
	disabled := false
	others, err := a.manager.Hooks(ctx, hooks.HookQuery{
		Tenant: tenant, Protocol: Name, Disabled: &disabled, PageQuery: hooks.PageQuery{Limit: 1, CountTo: a.cfg.MaxActive},
	})
	if err == nil && others.Total >= a.cfg.MaxActive {
		err = invalid(fmt.Sprintf("status: There may be at most %d active event hooks", a.cfg.MaxActive))
	}
	return err
}

// find returns the hook that the path names.
func (a *api) find(c *httpadapter.Call) (hooks.Hook, error) {
	h, err := a.manager.Hook(c.Context(), c.Caller.Tenant, c.PathValue("id"))
	if err == nil && h.Protocol != Name {
		err = hooks.ErrNotFound
	}
	return h, err
}

func (a *api) get(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	return respondHook(c, h, err)
}

// update changes the hook that the path names, and checks it against the others
// if it has a new name or becomes active.
func (a *api) update(c *httpadapter.Call, change func(*hooks.Hook) error) (httpadapter.Response, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	h, err := a.manager.Update(c.Context(), c.Caller.Tenant, c.PathValue("id"), func(h *hooks.Hook) error {
		if h.Protocol != Name {
			return hooks.ErrNotFound
		}
		name, disabled := h.Name, h.Disabled
		if err := change(h); err != nil {
			return err
		}
		if h.Name != name {
			if err := a.checkName(c.Context(), *h); err != nil {
				return err
			}
		}
		if disabled && !h.Disabled {
			return a.checkActive(c.Context(), h.Tenant)
		}
		return nil
	})
	return respondHook(c, h, err)
}

func (a *api) replace(c *httpadapter.Call) (httpadapter.Response, error) {
	if _, err := a.find(c); err != nil {
		return httpadapter.Response{}, err
	}
	change, err := a.readChange(c.Body)
	if err != nil {
		return httpadapter.Response{}, err
	}
	return a.update(c, func(h *hooks.Hook) error { return change.apply(h, selfLink(c.Base, h.ID)) })
}

func (a *api) activate(c *httpadapter.Call) (httpadapter.Response, error) {
	return a.update(c, func(h *hooks.Hook) error {
		h.Disabled = false
		return nil
	})
}

func (a *api) deactivate(c *httpadapter.Call) (httpadapter.Response, error) {
	return a.update(c, func(h *hooks.Hook) error {
		h.Disabled = true
		return nil
	})
}

func (a *api) delete(c *httpadapter.Call) (httpadapter.Response, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	h, err := a.find(c)
	if err == nil && !h.Disabled {
		err = invalid("status: The event hook is active, it must be deactivated before it can be deleted")
	}
	if err == nil {
		err = a.manager.Delete(c.Context(), h.Tenant, h.ID)
	}
	return httpadapter.Response{Status: http.StatusNoContent}, err
}

func (a *api) verify(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	if err != nil {
		return httpadapter.Response{}, err
	}
	failed := func(reason string) error {
		return invalid(fmt.Sprintf("Unable to verify event hook. Hook %s execution failed", h.Name), reason)
	}
	changed, err := a.manager.Verify(c.Context(), h.Tenant, h.ID)
	var attempt *hooks.AttemptError
	switch {
	case errors.As(err, &attempt):
		err = failed(fmt.Sprintf("%s: %s", attempt.Class, attempt))
	case errors.Is(err, hooks.ErrConflict):
		err = failed("the event hook was changed while its endpoint was asked")
	}
	return respondHook(c, changed, err)
}
