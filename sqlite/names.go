//go:build cgo

package sqlite

import (
	"strconv"
	"strings"
)

// names are the words in braces that stand for numbers in the texts of statements.
var names = strings.NewReplacer(
	"{blocked}", number(blocked), "{pending}", number(pending), "{leased}", number(leased), "{cancelled}", number(cancelled),
	"{entryCreated}", number(entryCreated), "{entrySucceeded}", number(entrySucceeded), "{entryDead}", number(entryDead),
	"{entryCancelled}", number(entryCancelled), "{entryAttempt}", number(entryAttempt), "{entryFailedAttempt}", number(entryFailedAttempt),
	"{entryBits}", number(entryBits), "{entryMask}", number(1<<entryBits-1),
	"{attemptBits}", number(attemptBits), "{attemptMask}", number(maxAttempt), "{generationBits}", number(generationBits),
	"{responseDropped}", number(responseDropped), "{farFuture}", number(farFuture),
)

// farFuture is later than every time that can be stored, and still has room above it,
// also when it is shifted.
const farFuture = 1 << 62

// number returns a number as it is written in SQL.
func number(n int64) string { return strconv.FormatInt(n, 10) }

// named returns the text of a statement with numbers in place of the names.
func named(sql string) string { return names.Replace(sql) }
