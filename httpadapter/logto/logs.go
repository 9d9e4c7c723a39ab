package logto

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// A logView is a delivery that has ended, as the API shows it: in terms of ours, the
// attempt that ended it.
type logView struct {
	ID        string     `json:"id"`
	Key       string     `json:"key"`
	Payload   logPayload `json:"payload"`
	CreatedAt int64      `json:"createdAt"`
}

type logPayload struct {
	Key         string       `json:"key"`
	Result      string       `json:"result"`
	HookID      string       `json:"hookId"`
	HookRequest logRequest   `json:"hookRequest"`
	Response    *logResponse `json:"response,omitempty"`
	Error       string       `json:"error,omitempty"`
}

type logRequest struct {
	Body any `json:"body"`
}

type logResponse struct {
	StatusCode int `json:"statusCode"`
	Body       any `json:"body"`
}

const (
	logKeyPrefix = "TriggerHook."
	// logCap is up to where enableCap counts.
	logCap = 10_000
)

func (a *api) recentLogs(c *httpadapter.Call) (httpadapter.Response, error) {
	q := queryOf(c)
	p, _, err := q.page()
	if err != nil {
		return httpadapter.Response{}, err
	}
	key, err := q.value("logKey")
	if err != nil {
		return httpadapter.Response{}, err
	}
	enableCap, err := q.value("enableCap")
	if err != nil {
		return httpadapter.Response{}, err
	}
	since, until, err := q.timeWindow(time.Now())
	if err != nil {
		return httpadapter.Response{}, err
	}
	countTo := hooks.MaxCount
	if isYes(enableCap) {
		countTo = logCap + 1
	}
	logs, total, err := a.logs(c, key, hooks.LogQuery{Since: since, Until: until, PageQuery: p.query(countTo)})
	if err != nil {
		return httpadapter.Response{}, err
	}
	capped := isYes(enableCap) && total > logCap
	return httpadapter.Response{Status: http.StatusOK, Header: q.pageHeader(p, total, capped), Body: inside(p, logs)}, nil
}

// logs returns a page of the logs of the hook that the path names, and how many
// there are in all: none if there is no such hook.
func (a *api) logs(c *httpadapter.Call, key string, q hooks.LogQuery) ([]logView, int, error) {
	logs := []logView{}
	eventType, ok := strings.CutPrefix(key, logKeyPrefix)
	if key != "" && (!ok || eventType == "") {
		return logs, 0, nil
	}
	h, err := a.find(c)
	if errors.Is(err, hooks.ErrNotFound) {
		return logs, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	q.Tenant, q.HookID, q.EventType = h.Tenant, h.ID, eventType
	q.States = []hooks.State{hooks.Succeeded, hooks.Dead}
	attempts, err := a.manager.Logs(c.Context(), q)
	if err != nil {
		return nil, 0, err
	}
	events, err := a.eventsOf(c.Context(), attempts.Items)
	if err != nil {
		return nil, 0, err
	}
	for i := range attempts.Items {
		at := &attempts.Items[i]
		logs = append(logs, logOf(at, events[at.EventID]))
	}
	return logs, attempts.Total, nil
}

// eventsOf returns the events of attempts of one tenant.
func (a *api) eventsOf(ctx context.Context, attempts []hooks.Attempt) (map[string]hooks.Event, error) {
	if len(attempts) == 0 {
		return nil, nil
	}
	ids := make([]string, len(attempts))
	for i := range attempts {
		ids[i] = attempts[i].EventID
	}
	return a.manager.Events(ctx, attempts[0].Tenant, ids...)
}

func logOf(at *hooks.Attempt, e hooks.Event) logView {
	if e.ID == "" { // It was removed while its log was read.
		e = hooks.Event{Type: at.EventType, Time: at.StartedAt, Data: json.RawMessage("{}")}
	}
	body, _ := decode(payloadFor(at.HookID, payloadStart(&e))) // It is JSON, because it was made as JSON.
	l := logView{
		ID:        logID(at),
		Key:       logKeyPrefix + at.EventType,
		CreatedAt: at.StartedAt.UnixMilli(),
		Payload: logPayload{
			Key: logKeyPrefix + at.EventType, Result: "Success", HookID: at.HookID,
			HookRequest: logRequest{shown(body)},
		},
	}
	if at.State != hooks.Succeeded {
		l.Payload.Result, l.Payload.Error = "Error", errorText(at)
	}
	if at.Response.Status != 0 {
		l.Payload.Response = &logResponse{at.Response.Status, responseBody(at.Response.Body)}
	}
	return l
}

// logID is an ID in Logto's form, the same each time.
func logID(at *hooks.Attempt) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", at.DeliveryID, at.Number))
	return fmt.Sprintf("%021s", new(big.Int).SetBytes(sum[:13]).Text(36))
}

// responseBody is the JSON of a response, or its text.
func responseBody(body []byte) any {
	value, err := decode(body)
	if err != nil || value == nil {
		return strings.ReplaceAll(string(body), "\x00", "")
	}
	return shown(value)
}

// shown is a value of JSON as logs show it.
func shown(value any) any { return flattened(masked(value), 0) }

// errorText says why an attempt failed, beginning with the name of the error
// that JavaScript has for it.
func errorText(at *hooks.Attempt) string {
	switch at.Class {
	case hooks.ClassStatus, hooks.ClassRedirect:
		return strings.TrimSpace(fmt.Sprintf("HTTPError: Request failed with status code %d %s", at.Response.Status, http.StatusText(at.Response.Status)))
	case hooks.ClassTimeout:
		return "TimeoutError: Request timed out"
	case hooks.ClassRequest:
		return "TypeError: " + at.Error
	}
	return "TypeError: fetch failed: " + at.Error
}
