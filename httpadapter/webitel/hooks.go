package webitel

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

func success(data any) httpadapter.Response {
	return httpadapter.Response{Status: http.StatusOK, Body: struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"OK", data}}
}

const (
	defaultLimit = 40
	maxLimit     = 5000 // what the web UI asks for
	maxColumns   = 4096 // bytes
)

func (a *api) list(c *httpadapter.Call) (httpadapter.Response, error) {
	query := c.URL.Query()
	if len(query["columns"]) > 1 {
		return httpadapter.Response{}, badRequest("columns must not be there twice")
	}
	if len(query.Get("columns")) > maxColumns {
		return httpadapter.Response{}, badRequest(fmt.Sprintf("columns must have at most %d bytes", maxColumns))
	}
	columns := projectionOf(query.Get("columns"))
	documents := []document{}
	limit := min(positive(query, "limit", defaultLimit), maxLimit)
	skip := int64(positive(query, "page", 1)-1) * int64(limit)
	if skip > hooks.MaxCount {
		return success(documents), nil // Nobody has so many.
	}
	q := hooks.HookQuery{Tenant: c.Caller.Tenant, Protocol: Name, PageQuery: hooks.PageQuery{
		OldestFirst: true, Limit: min(limit, hooks.MaxLimit), Offset: int(skip),
	}}
	for h, err := range a.manager.AllHooks(c.Context(), q) {
		if err != nil {
			return httpadapter.Response{}, err
		}
		d, err := documentOf(h, columns)
		if err != nil {
			return httpadapter.Response{}, err
		}
		if documents = append(documents, d); len(documents) == limit {
			break
		}
	}
	return success(documents), nil
}

// positive returns a number of the query, or the default if it is not there or not
// positive.
func positive(query url.Values, name string, byDefault int) int {
	n, err := strconv.Atoi(query.Get(name))
	if err != nil || n <= 0 {
		return byDefault
	}
	return min(n, math.MaxInt32)
}

// inserted says which hook was made.
type inserted struct {
	Result        insertResult `json:"result"`
	Ops           []document   `json:"ops"`
	InsertedCount int          `json:"insertedCount"`
	InsertedIDs   []string     `json:"insertedIds"`
}

type insertResult struct {
	OK int `json:"ok"`
	N  int `json:"n"`
}

func (a *api) create(c *httpadapter.Call) (httpadapter.Response, error) {
	change, err := readChange(c)
	if err != nil {
		return httpadapter.Response{}, err
	}
	h := hooks.Hook{ID: a.ids.make(), Tenant: c.Caller.Tenant, Protocol: Name}
	change.apply(&h)
	if h, err = a.manager.Register(c.Context(), h); err != nil {
		return httpadapter.Response{}, err
	}
	d, err := documentOf(h, nil)
	if err != nil {
		return httpadapter.Response{}, err
	}
	return success(inserted{insertResult{1, 1}, []document{d.withoutNulls()}, 1, []string{h.ID}}), nil
}

// find returns the hook that the path names.
func (a *api) find(c *httpadapter.Call) (hooks.Hook, error) {
	id := idOf(c)
	h, err := a.manager.Hook(c.Context(), c.Caller.Tenant, id)
	if err == nil && h.Protocol != Name {
		err = hooks.ErrNotFound
	}
	if errors.Is(err, hooks.ErrNotFound) && !isID(id) {
		err = errBadID
	}
	return h, err
}

// get shows null for a hook that is not there.
func (a *api) get(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	if errors.Is(err, hooks.ErrNotFound) {
		return success(nil), nil
	}
	if err != nil {
		return httpadapter.Response{}, err
	}
	d, err := documentOf(h, nil)
	return success(d), err
}

// replaced and deleted say how many hooks were.
type replaced struct {
	N         int `json:"n"`
	NModified int `json:"nModified"`
	OK        int `json:"ok"`
}

type deleted struct {
	N  int `json:"n"`
	OK int `json:"ok"`
}

func (a *api) replace(c *httpadapter.Call) (httpadapter.Response, error) {
	change, err := readChange(c)
	if err != nil {
		return httpadapter.Response{}, err
	}
	h, err := a.find(c)
	if err == nil {
		_, err = a.manager.Update(c.Context(), h.Tenant, h.ID, func(h *hooks.Hook) error {
			change.apply(h)
			return nil
		})
	}
	if errors.Is(err, hooks.ErrNotFound) {
		return success(replaced{OK: 1}), nil
	}
	return success(replaced{N: 1, NModified: 1, OK: 1}), err
}

func (a *api) delete(c *httpadapter.Call) (httpadapter.Response, error) {
	h, err := a.find(c)
	if err == nil {
		err = a.manager.Delete(c.Context(), h.Tenant, h.ID)
	}
	if errors.Is(err, hooks.ErrNotFound) {
		return success(deleted{OK: 1}), nil
	}
	return success(deleted{N: 1, OK: 1}), err
}
