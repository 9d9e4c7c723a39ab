package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// maxTrigger bounds the body of a trigger: the data of an event, of which the
// Manager takes 256 KiB, and some more.
const maxTrigger = 512 << 10

// An event is what POST /trigger takes.
type event struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Tenant      string          `json:"tenant"`
	OrderingKey string          `json:"orderingKey"`
	Data        json.RawMessage `json:"data"`
}

// trigger records an event, durably before it responds.
func trigger(m *hooks.Manager, who httpadapter.Authenticate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := who(r)
		if err != nil {
			respond(w, http.StatusUnauthorized, failure{Error: "the token is missing or wrong"})
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTrigger))
		if err != nil {
			status, text := http.StatusBadRequest, "the body is incomplete"
			if large := new(*http.MaxBytesError); errors.As(err, large) {
				status, text = http.StatusRequestEntityTooLarge, "the body is too large"
			}
			respond(w, status, failure{Error: text})
			return
		}
		e, err := parseEvent(body)
		if err != nil {
			refuse(w, err)
			return
		}
		e.Tenant = cmp.Or(e.Tenant, caller.Tenant)
		receipt, err := m.Trigger(r.Context(), e.hooksEvent())
		if err != nil {
			refuse(w, err)
			return
		}
		respond(w, http.StatusAccepted, map[string]any{"id": receipt.EventID, "deliveries": receipt.Deliveries})
	})
}

func (e event) hooksEvent() hooks.Event {
	return hooks.Event{ID: e.ID, Type: e.Type, Tenant: e.Tenant, OrderingKey: e.OrderingKey, Data: e.Data}
}

// parseEvent reads one JSON object that has no other members than an event.
func parseEvent(body []byte) (e event, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(&e)
	if wrong := new(*json.UnmarshalTypeError); errors.As(err, wrong) {
		return e, &hooks.InvalidError{Field: cmp.Or((*wrong).Field, "body"), Reason: "must not be a JSON " + (*wrong).Value}
	}
	if err != nil {
		return e, &hooks.InvalidError{Field: "body", Reason: "must be a JSON object: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return e, &hooks.InvalidError{Field: "body", Reason: "must be one JSON object"}
	}
	return e, nil
}

// refuse responds with what is wrong, and logs what only the application should know.
func refuse(w http.ResponseWriter, err error) {
	var invalid *hooks.InvalidError
	switch {
	case errors.As(err, &invalid):
		if invalid.Hint != "" {
			slog.Info("an event was refused", "error", invalid)
		}
		respond(w, http.StatusBadRequest, failure{Error: "invalid " + invalid.Field + ": " + invalid.Reason, Field: invalid.Field})
	case errors.Is(err, hooks.ErrDuplicate):
		respond(w, http.StatusConflict, failure{Error: "the id was used for another event", Field: "id"})
	default:
		slog.Error("an event was not recorded", "error", err)
		respond(w, http.StatusInternalServerError, failure{Error: "the event was not recorded"})
	}
}
