package signature

import "time"

// A Signer makes the signatures of requests for one hook. Keys are added before its
// first use; then it may be used concurrently.
type Signer struct{ keys []signingKey }

type signingKey struct {
	Key
	expires time.Time // zero: never
}

// Add adds a key that can sign, until it expires. Zero: it never does.
func (s *Signer) Add(k Key, expires time.Time) { s.keys = append(s.keys, signingKey{k, expires}) }

// Sign returns the value of the webhook-signature header of a request that has this
// id and body, and now as its timestamp: a signature by each key that has not
// expired, in the order in which they were added. It is empty if there is none.
func (s *Signer) Sign(id string, now time.Time, body []byte) string {
	var onStack [192]byte // room for three symmetric signatures
	list := onStack[:0]
	for i := range s.keys {
		k := &s.keys[i]
		if !k.expires.IsZero() && !now.Before(k.expires) {
			continue
		}
		if len(list) > 0 {
			list = append(list, ' ')
		}
		list = k.Append(list, id, now.Unix(), body)
	}
	return string(list)
}
