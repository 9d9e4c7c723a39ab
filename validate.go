package hooks

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
	"github.com/seed-2c6e3a5a/hooks/internal/jsoncheck"
)

// The limits of a hook and an event, as their fields' comments state them.
const (
	maxID          = 128
	maxTenant      = 256
	maxName        = 1024
	maxDescription = 4096
	maxEvents      = 1000
	maxEntries     = 50
	maxEntryBytes  = 16 << 10
	maxSecrets     = 10
	maxSchedule    = 101
	maxDelay       = 7 * 24 * time.Hour
	maxSettings    = 64 << 10
	maxOrderingKey = 256
	maxBatchWindow = 10 * time.Second
	maxSecret      = 4 << 10
	maxHook        = 128 << 10

	// The limits of one call of TriggerBatch, TriggerTx or Test.
	maxBatchEvents     = 10_000
	maxBatchBytes      = 64 << 20
	maxBatchDeliveries = 100_000

	// maxCatalogue bounds Config.Catalogue.
	maxCatalogue = 10_000
)

// checkHook checks all of the hook, its protocol's part included. It changes what has
// one meaning in several forms to one of these.
func (m *Manager) checkHook(h *Hook) error {
	if !h.Disabled {
		h.DisabledReason = ""
	}
	err := firstError(
		checkID("id", h.ID),
		checkText("tenant", h.Tenant, maxTenant),
		checkText("name", h.Name, maxName),
		checkText("description", h.Description, maxDescription),
		checkText("url", h.URL, egress.MaxURL),
		checkDisabledReason(h),
		m.checkEvents(h.Events),
		checkLimits(h),
		checkHeaders(h.Headers),
		checkEntries("metadata", h.Metadata),
		checkSize(h),
	)
	if err != nil {
		return err
	}
	p, ok := m.protocols[h.Protocol]
	if !ok {
		return unknownProtocol(h.Protocol)
	}
	traits := p.Traits()
	if most := max(1, traits.MaxBatch); h.MaxBatch > most {
		return &InvalidError{Field: "maxBatch", Reason: fmt.Sprintf("must be at most %d for the protocol %q", most, h.Protocol)}
	}
	if traits.AnyURL {
		err = m.policy.CheckLiteral(h.URL)
	} else {
		_, err = m.policy.ParseURL(h.URL)
	}
	if err != nil {
		return ofPolicy("", err)
	}
	_, err = m.compile(h)
	return err
}

// checkSize bounds all of the hook except for what the Manager sets.
func checkSize(h *Hook) error {
	size := len(h.ID) + len(h.Tenant) + len(h.Name) + len(h.Description) + len(h.Filter) + len(h.URL) +
		len(h.Method) + len(h.Protocol) + len(h.Settings) + 8*len(h.Schedule) + sizeOf(h.Headers) + sizeOf(h.Metadata)
	for _, pattern := range h.Events {
		size += len(pattern)
	}
	for _, s := range h.Secrets {
		size += len(s.Secret)
	}
	if size > maxHook {
		return &InvalidError{Field: "hook", Reason: fmt.Sprintf("must be at most %d bytes in all", maxHook)}
	}
	return nil
}

func sizeOf(entries map[string]string) (size int) {
	for key, value := range entries {
		size += len(key) + len(value)
	}
	return size
}

func checkDisabledReason(h *Hook) error {
	return checkText("disabledReason", h.DisabledReason, maxDescription)
}

func (m *Manager) checkEvents(patterns []string) error {
	if len(patterns) == 0 || len(patterns) > maxEvents {
		return &InvalidError{Field: "events", Reason: fmt.Sprintf("must name 1 to %d event types", maxEvents)}
	}
	seen := make(map[string]bool, len(patterns))
	for i, pattern := range patterns {
		field := fmt.Sprintf("events[%d]", i)
		if err := checkPattern(field, pattern); err != nil {
			return err
		}
		if checkType(field, pattern) == nil {
			if err := m.checkCatalogue(field, pattern); err != nil {
				return err
			}
		}
		if seen[pattern] {
			return &InvalidError{Field: field, Reason: fmt.Sprintf("%q is there twice", pattern)}
		}
		seen[pattern] = true
	}
	return nil
}

func (m *Manager) checkCatalogue(field, eventType string) error {
	if _, ok := m.catalogue[eventType]; !ok && len(m.catalogue) > 0 {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("%q is not in the catalogue of event types", eventType)}
	}
	return nil
}

// checkSchedule checks the delays before the attempts.
func checkSchedule(field string, schedule []time.Duration) error {
	if len(schedule) > maxSchedule {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must have at most %d entries", maxSchedule)}
	}
	for i, d := range schedule {
		if d < 0 || d > maxDelay {
			return &InvalidError{Field: fmt.Sprintf("%s[%d]", field, i), Reason: fmt.Sprintf("must be 0 to %v", maxDelay)}
		}
	}
	return nil
}

func checkTimeout(field string, d time.Duration) error {
	if d < 0 || d > maxTimeout {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be 0 (the default) to %v", maxTimeout)}
	}
	return nil
}

func checkLimits(h *Hook) error {
	if err := firstError(checkSchedule("schedule", h.Schedule), checkTimeout("timeout", h.Timeout)); err != nil {
		return err
	}
	switch {
	case !(h.RateLimit >= 0 && h.RateLimit <= 1e6):
		return &InvalidError{Field: "rateLimit", Reason: "must be 0 (none) to 1000000 attempts a second"}
	case h.RateLimit > 0 && h.RateLimit < 1e-4:
		return &InvalidError{Field: "rateLimit", Reason: "must be 0 (none) or at least 0.0001"}
	case h.MaxInFlight < 0 || h.MaxInFlight > 10_000:
		return &InvalidError{Field: "maxInFlight", Reason: "must be 0 (the default) to 10000"}
	case h.BatchWindow < 0 || h.BatchWindow > maxBatchWindow:
		return &InvalidError{Field: "batchWindow", Reason: fmt.Sprintf("must be at most %v", maxBatchWindow)}
	case h.MaxBatch < 0:
		return &InvalidError{Field: "maxBatch", Reason: "must not be negative"}
	case len(h.Secrets) > maxSecrets:
		return &InvalidError{Field: "secrets", Reason: fmt.Sprintf("must be at most %d", maxSecrets)}
	case len(h.Settings) > maxSettings:
		return &InvalidError{Field: "settings", Reason: fmt.Sprintf("must be at most %d bytes", maxSettings)}
	case len(h.Settings) > 0 && !jsoncheck.Valid(h.Settings):
		return &InvalidError{Field: "settings", Reason: "must be JSON in UTF-8 (RFC 8259)"}
	}
	for i := range h.Secrets {
		if len(h.Secrets[i].Secret) > maxSecret {
			return &InvalidError{Field: fmt.Sprintf("secrets[%d]", i), Reason: fmt.Sprintf("must be at most %d bytes", maxSecret)}
		}
		if !validYear(h.Secrets[i].ExpiresAt) {
			return &InvalidError{Field: fmt.Sprintf("secrets[%d].expiresAt", i), Reason: yearRule}
		}
		h.Secrets[i].ExpiresAt = stamp(h.Secrets[i].ExpiresAt)
	}
	return nil
}

func checkHeaders(headers map[string]string) error {
	if len(headers) > maxEntries || sizeOf(headers) > maxEntryBytes {
		return &InvalidError{Field: "headers", Reason: fmt.Sprintf("must be at most %d and %d bytes in all", maxEntries, maxEntryBytes)}
	}
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
		field := fmt.Sprintf("headers[%q]", name)
		if err := checkHeader(field, name, value); err != nil {
			return err
		}
		key := header.Key(name)
		if seen[key] {
			return &InvalidError{Field: field, Reason: header.Twice}
		}
		seen[key] = true
	}
	return nil
}

// checkHeader checks a header that a user sets.
func checkHeader(field, name, value string) error {
	if rule := header.Check(name, value); rule != "" {
		return &InvalidError{Field: field, Reason: rule}
	}
	return nil
}

func checkEntries(field string, entries map[string]string) error {
	if len(entries) > maxEntries || sizeOf(entries) > maxEntryBytes {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be at most %d entries and %d bytes in all", maxEntries, maxEntryBytes)}
	}
	for key, value := range entries {
		name := fmt.Sprintf("%s[%q]", field, key)
		if err := firstError(checkText(name, key, maxEntryBytes), checkText(name, value, maxEntryBytes)); err != nil {
			return err
		}
	}
	return nil
}

func checkID(field, id string) error {
	valid := len(id) >= 1 && len(id) <= maxID
	for i := 0; valid && i < len(id); i++ {
		c := id[i]
		valid = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
	}
	if !valid {
		return &InvalidError{Field: field, Reason: fmt.Sprintf(`must be 1 to %d of the characters a-z, A-Z, 0-9, "_" and "-"`, maxID)}
	}
	return nil
}

// checkText accepts text that every store can keep: UTF-8 without NUL.
func checkText(field, s string, limit int) error {
	if len(s) > limit {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be at most %d bytes", limit)}
	}
	for i := range len(s) {
		if s[i] == 0 {
			return &InvalidError{Field: field, Reason: "must not contain NUL"}
		}
	}
	if !utf8.ValidString(s) {
		return &InvalidError{Field: field, Reason: "must be UTF-8"}
	}
	return nil
}

// checkData checks the data of an event, or a sample of it.
func checkData(field string, data []byte, limit int) error {
	switch {
	case len(data) > limit:
		return &InvalidError{Field: field, Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(data), limit)}
	case !jsoncheck.Valid(data):
		return &InvalidError{Field: field, Reason: "must be JSON in UTF-8 (RFC 8259)"}
	}
	return nil
}

func checkRange(field string, n, limit int) error {
	if n < 0 || n > limit {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be 0 to %d", limit)}
	}
	return nil
}

func checkList[T any](field string, list []T) error {
	if len(list) > MaxLimit {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be at most %d", MaxLimit)}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ofElement names the i-th of n elements in the field of an [InvalidError],
// unless it is the only one.
func ofElement(list string, i, n int, err error) error {
	if invalid := new(*InvalidError); n > 1 && errors.As(err, invalid) {
		return &InvalidError{Field: fmt.Sprintf("%s[%d].%s", list, i, (*invalid).Field), Reason: (*invalid).Reason, Hint: (*invalid).Hint}
	}
	return err
}
