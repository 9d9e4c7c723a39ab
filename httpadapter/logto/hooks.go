package logto

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

func (a *api) list(c *httpadapter.Call) (httpadapter.Response, error) {
	q := queryOf(c)
	p, paged, err := q.page()
	if err != nil {
		return httpadapter.Response{}, err
	}
	withStats, err := q.value("includeExecutionStats")
	if err != nil {
		return httpadapter.Response{}, err
	}
	found, total, err := a.hooks(c.Context(), c.Caller.Tenant, p, paged)
	if err != nil {
		return httpadapter.Response{}, err
	}
	views := make([]hookView, len(found))
	for i, h := range found {
		if views[i], err = viewOf(h); err != nil {
			return httpadapter.Response{}, err
		}
	}
	if isYes(withStats) {
		if err := a.addStats(c.Context(), c.Caller.Tenant, views); err != nil {
			return httpadapter.Response{}, err
		}
	}
	response := httpadapter.Response{Status: http.StatusOK, Body: views}
	if paged {
		response.Header = q.pageHeader(p, total, false)
	}
	return response, nil
}

// hooks returns a page of the tenant's hooks and how many there are in all, or
// all of them.
func (a *api) hooks(ctx context.Context, tenant string, p page, paged bool) ([]hooks.Hook, int, error) {
	q := hooks.HookQuery{Tenant: tenant, Protocol: Name}
	if paged {
		q.PageQuery = p.query(hooks.MaxCount)
		found, err := a.manager.Hooks(ctx, q)
		return inside(p, found.Items), found.Total, err
	}
	var all []hooks.Hook
	q.Limit = hooks.MaxLimit
	for h, err := range a.manager.AllHooks(ctx, q) {
		if err != nil {
			return nil, 0, err
		}
		all = append(all, h)
	}
	return all, len(all), nil
}

// addStats gives hooks the sums of their last 24 hours.
func (a *api) addStats(ctx context.Context, tenant string, views []hookView) error {
	for part := range slices.Chunk(views, hooks.MaxLimit) {
		ids := make([]string, len(part))
		for i, v := range part {
			ids[i] = v.ID
		}
		stats, err := a.manager.Stats(ctx, tenant, time.Time{}, time.Time{}, ids...)
		if err != nil {
			return err
		}
		for i := range part {
			s := stats[part[i].ID]
			part[i].ExecutionStats = &statsView{SuccessCount: s.Successes, RequestCount: s.Deliveries}
		}
	}
	return nil
}

func (a *api) create(c *httpadapter.Call) (httpadapter.Response, error) {
	change, err := a.readChange(c, true)
	if err != nil {
		return httpadapter.Response{}, err
	}
	if change.event == nil && change.events == nil {
		return httpadapter.Response{}, errMissingEvents
	}
	h := hooks.Hook{ID: newID(), Tenant: c.Caller.Tenant, Protocol: Name}
	if err := change.apply(&h, a.protocol); err != nil {
		return httpadapter.Response{}, err
	}
	h, err = a.manager.Register(c.Context(), h)
	return respondHook(http.StatusCreated, h, err)
}

// newID makes an ID in Logto's form.
func newID() string { return wire.RandomText(21, "0123456789abcdefghijklmnopqrstuvwxyz") }

func (a *api) readChange(c *httpadapter.Call, isNew bool) (change, error) {
	body, err := bodyOf(c)
	if err != nil {
		return change{}, err
	}
	var g guard
	change := g.change(body, a.events, isNew)
	return change, g.err("body")
}

func respondHook(status int, h hooks.Hook, err error) (httpadapter.Response, error) {
	if err != nil {
		return httpadapter.Response{}, err
	}
	view, err := viewOf(h)
	return httpadapter.Response{Status: status, Body: view}, err
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
	q := queryOf(c)
	withStats, err := q.value("includeExecutionStats")
	if err != nil {
		return httpadapter.Response{}, err
	}
	h, err := a.find(c)
	if err != nil {
		return httpadapter.Response{}, orNotFound(err, errNotExistsWithID(c.PathValue("id")))
	}
	view, err := viewOf(h)
	if err != nil {
		return httpadapter.Response{}, err
	}
	if isYes(withStats) {
		views := []hookView{view}
		if err := a.addStats(c.Context(), h.Tenant, views); err != nil {
			return httpadapter.Response{}, err
		}
		view = views[0]
	}
	return httpadapter.Response{Status: http.StatusOK, Body: view}, nil
}

func (a *api) update(c *httpadapter.Call) (httpadapter.Response, error) {
	change, err := a.readChange(c, false)
	if err != nil {
		return httpadapter.Response{}, err
	}
	if change.isEmpty() {
		return httpadapter.Response{}, errNoChange
	}
	h, err := a.manager.Update(c.Context(), c.Caller.Tenant, c.PathValue("id"), func(h *hooks.Hook) error {
		if h.Protocol != Name {
			return hooks.ErrNotFound
		}
		return change.apply(h, a.protocol)
	})
	return respondHook(http.StatusOK, h, orNotFound(err, errNotExists))
}

func (a *api) delete(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	if err == nil {
		err = a.manager.Delete(c.Context(), h.Tenant, h.ID)
	}
	return httpadapter.Response{Status: http.StatusNoContent}, orNotFound(err, errNotFound)
}

func (a *api) rotate(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	if err == nil {
		h, err = a.manager.RotateSecret(c.Context(), h.Tenant, h.ID, hooks.Rotation{Overlap: -1})
	}
	return respondHook(http.StatusOK, h, orNotFound(err, errNotExists))
}
