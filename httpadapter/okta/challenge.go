package okta

import (
	"net/http"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// ChallengeHandler is for endpoints of event hooks. A GET with the header
// X-Okta-Verification-Challenge asks whether they want the events; it responds with 200
// and {"verification": "..."}. It passes all other requests to next.
func ChallengeHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		challenge := r.Header.Get(challengeHeader)
		if r.Method != http.MethodGet || challenge == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// An error here means that the sender is gone.
		_, _ = w.Write(wire.JSON(map[string]string{"verification": challenge}))
	})
}
