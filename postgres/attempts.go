package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pack"
)

// attemptColumns are the columns that hooks_log and hooks_attempts have of an attempt, in the
// order of the fields of attemptRow. hooks_attempts has next_at besides.
const attemptColumns = `started_at, duration, body_size, attempt_state, status, lacks, class, error, method, url,
	body_sha256, request_header, response_header, response_body`

// attemptKinds are the types of attemptColumns.
var attemptKinds = []string{
	"bigint", "bigint", "integer", "smallint", "smallint", "smallint", "text", "text", "text", "text", "bytea", "bytea", "bytea", "bytea",
}

// An attemptRow is a row of attemptColumns. All are NULL if there is no attempt.
type attemptRow struct {
	startedAt, duration                         pgtype.Int8
	bodySize                                    pgtype.Int4
	state, status, lacks                        pgtype.Int2
	class, error, method, url                   pgtype.Text
	sha256, requestHeader, responseHeader, body []byte
}

func packAttempt(a *hooks.Attempt) (r attemptRow) {
	if a == nil {
		return r
	}
	r = attemptRow{
		startedAt: pgtype.Int8{Int64: a.StartedAt.UnixMilli(), Valid: true}, duration: pgtype.Int8{Int64: int64(a.Duration), Valid: true},
		bodySize: pgtype.Int4{Int32: int32(a.Request.BodySize), Valid: true}, //nolint:gosec // Requests are smaller.
		state:    pgtype.Int2{Int16: packState(a.State), Valid: true},
		status:   pgtype.Int2{Int16: int16(a.Response.Status), Valid: true}, //nolint:gosec // It has three digits.
		lacks:    pgtype.Int2{Valid: true},
		class:    packText(string(a.Class)), error: packText(a.Error), method: packText(a.Request.Method), url: packText(a.Request.URL),
		requestHeader: pack.Header(a.Request.Header), responseHeader: pack.Header(a.Response.Header), body: nonEmpty(a.Response.Body),
	}
	if a.Request.BodySHA256 != [32]byte{} {
		r.sha256 = a.Request.BodySHA256[:]
	}
	for bit, is := range map[int16]bool{lacksBody: a.Response.Truncated, lacksHeader: a.Response.HeaderTruncated, lacksBoth: a.Response.Dropped} {
		if is {
			r.lacks.Int16 |= bit
		}
	}
	return r
}

func (r *attemptRow) fields() []any {
	return []any{
		&r.startedAt, &r.duration, &r.bodySize, &r.state, &r.status, &r.lacks, &r.class, &r.error, &r.method, &r.url,
		&r.sha256, &r.requestHeader, &r.responseHeader, &r.body,
	}
}

// attempt makes an attempt of the row.
func (r *attemptRow) attempt() (a hooks.Attempt, err error) {
	a = hooks.Attempt{
		StartedAt: unpackTime(r.startedAt), Duration: time.Duration(r.duration.Int64), State: unpackState(r.state.Int16),
		Request: hooks.AttemptRequest{Method: r.method.String, URL: r.url.String, BodySize: int(r.bodySize.Int32)},
		Response: hooks.AttemptResponse{
			Status: int(r.status.Int16), Body: r.body, Truncated: r.lacks.Int16&lacksBody != 0,
			HeaderTruncated: r.lacks.Int16&lacksHeader != 0, Dropped: r.lacks.Int16&lacksBoth != 0,
		},
		Class: hooks.ErrorClass(r.class.String), Error: r.error.String,
	}
	copy(a.Request.BodySHA256[:], r.sha256)
	if a.Request.Header, err = pack.UnpackHeader(r.requestHeader); err == nil {
		a.Response.Header, err = pack.UnpackHeader(r.responseHeader)
	}
	if err != nil {
		err = fmt.Errorf("postgres: %w", err)
	}
	return a, err
}

// attemptArrays are the attempts of a statement, a slice for each of attemptColumns.
type attemptArrays struct {
	startedAt, duration                         []pgtype.Int8
	bodySize                                    []pgtype.Int4
	state, status, lacks                        []pgtype.Int2
	class, error, method, url                   []pgtype.Text
	sha256, requestHeader, responseHeader, body [][]byte
}

func (c *attemptArrays) add(a *hooks.Attempt) {
	r := packAttempt(a)
	c.startedAt, c.duration, c.bodySize = append(c.startedAt, r.startedAt), append(c.duration, r.duration), append(c.bodySize, r.bodySize)
	c.state, c.status, c.lacks = append(c.state, r.state), append(c.status, r.status), append(c.lacks, r.lacks)
	c.class, c.error, c.method, c.url = append(c.class, r.class), append(c.error, r.error), append(c.method, r.method), append(c.url, r.url)
	c.sha256, c.requestHeader = append(c.sha256, r.sha256), append(c.requestHeader, r.requestHeader)
	c.responseHeader, c.body = append(c.responseHeader, r.responseHeader), append(c.body, r.body)
}

func (c *attemptArrays) args() []any {
	return []any{
		c.startedAt, c.duration, c.bodySize, c.state, c.status, c.lacks, c.class, c.error, c.method, c.url,
		c.sha256, c.requestHeader, c.responseHeader, c.body,
	}
}

// arrayParams returns the parameters for arrays of these types: "$3::bigint[], $4::text[]" if
// two parameters come before.
func arrayParams(before int, kinds ...string) string {
	list := ""
	for i, kind := range kinds {
		if i > 0 {
			list += ", "
		}
		list += fmt.Sprintf("$%d::%s[]", before+i+1, kind)
	}
	return list
}
