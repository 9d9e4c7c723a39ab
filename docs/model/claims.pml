/*
Claims, leases, settlements and signals of the Postgres store, as several processes
run them on one set of tables. README.md says what is checked and what is left out.

Each d_step below is one step that nothing interrupts: one statement of SQL, or a commit.
Between two steps, anything else may happen. A transaction is a step that locks its rows,
and a step that commits: nobody sees before the commit what it has written.

Everything that may go wrong is bounded, so every run ends. When nothing else can happen
(timeout), time passes. When that changes nothing, a minute passes. In the end everything
must be in the log. So "it happens at last" is checked as well.
*/

#define P 2 /* processes */
#define D 2 /* deliveries, all of one lane */
#define X 8 /* transactions, at most */

#ifndef CRASHES
#define CRASHES 1 /* process 0 dies, which may have been handed a delivery */
#endif
#ifndef CUTS
#define CUTS 1 /* a connection is cut, and the process lives on */
#endif
#ifndef TICKS
#define TICKS 1 /* time passes although somebody has something to do; so a lease may end early */
#endif
#ifndef RETRIES
#define RETRIES 1 /* an attempt fails, and another one follows */
#endif
#ifndef CLEANINGS
#define CLEANINGS 1 /* old signals are deleted */
#endif
#define MINUTES 3 /* more than are ever needed */

#define NEVER 255
#define bit(x) (1 << (x))
#define below(x) (bit(x) - 1)

/* The tables: a row of the queue for each delivery, and how often it is in the log. */
mtype = { absent, pending, leased };
typedef Row {
	mtype state; /* absent: not in the queue */
	byte queued; /* from when on it may be claimed */
	byte token;
	byte lock; /* whose transaction has locked the row: claimer(p), settler(p), or 0 for nobody */
	byte logged;
	/* For the checks only: */
	bool acknowledged; /* the transaction that triggered it is committed */
	bool skipped; /* a cursor has moved past the row, because it was locked */
	bool lost /* and then the lock was rolled back */
}
Row row[D];
#define claimer(p) (1 + 2 * (p))
#define settler(p) (2 + 2 * (p))

/* A lane is in the order of (queued, n). A cursor is a place in this order. */
#define place(d) (row[d].queued * 4 + 1 + (d))
#define place_before(time) ((time) * 4)
#define place_behind(time) ((time) * 4 + 3)

/* Transactions are numbered in the order in which they begin (xid). A snapshot is the set
   of those that have ended. The others have not begun yet, or are in progress. */
byte next; /* the next number */
int ended;
int signals; /* those that have committed a signal, as far as it has not been deleted */
byte due[X]; /* the due times of these signals */
byte watermark; /* signals of transactions below this number may have been deleted */

/* The memory of a process. */
typedef Process {
	bool alive;
	bool gone; /* it died and will not be started again */
	byte rebuild; /* 0: no; 1: has to rebuild its lane; 2: has taken the snapshot for that */
	int seen; /* the snapshot of its last read of signals */
	byte due; /* when the lane is due, as far as it knows */
	byte cursor; /* all before this place has been taken, as far as it knows */
	byte token[D]; /* of the deliveries that it is sending, else 0 */
	/* Its open claim: */
	bool claiming;
	byte xid, rows, until, next_due, next_cursor;
	/* Its open settlement: */
	byte settling; /* 0: none; 1: open; 2: half of it is committed, in some variants */
	byte settled; /* which delivery */
	bool retry;
	byte settle_xid
}
Process process[P];

/* A transaction that triggers a delivery. */
mtype = { waiting, open, over };
typedef Trigger {
	mtype state;
	byte xid, due
}
Trigger trigger[D];

byte now, crashes, cuts, ticks, retries, cleanings, minutes;
hidden byte i, j, best, count;
hidden int all;

inline begin(number) {
	assert(next < X);
	number = next;
	next++
}

inline commit_signal(number, time) {
	signals = signals | bit(number);
	due[number] = time;
	ended = ended | bit(number)
}

inline rollback(number) {
	ended = ended | bit(number)
}

/* Writes a row and ends its lock. */
inline write(d, new_state, time) {
	row[d].state = new_state;
	row[d].queued = time;
	row[d].lock = 0;
	row[d].skipped = false;
	row[d].lost = false
}

/* Ends the lock of a row that was not written. */
inline unlock(d) {
	row[d].lock = 0;
	row[d].lost = row[d].lost || row[d].skipped;
	row[d].skipped = false
}

/* Check 1: an acknowledged delivery is in the queue or in the log, and there once. */
inline check_rows() {
	for (i : 0 .. D - 1) {
		assert(!row[i].acknowledged || row[i].logged + (row[i].state != absent) == 1)
	}
	i = 0
}

/* --- Triggers --- */

/* The due time is chosen, a transaction begins, and the row is written. */
inline trigger_begins(d) {
	d_step {
		trigger[d].state == waiting ->
		trigger[d].state = open;
		trigger[d].due = now;
		begin(trigger[d].xid)
	}
}

/* The commit may come much later, after transactions that began later. */
inline trigger_commits(d) {
	d_step {
		trigger[d].state == open ->
		trigger[d].state = over;
		write(d, pending, trigger[d].due);
		row[d].acknowledged = true;
		commit_signal(trigger[d].xid, trigger[d].due);
		trigger[d].due = 0; trigger[d].xid = 0
	}
}

/* The delivery is handed over: it is stored as leased, and the process p sends it. */
inline trigger_commits_leased(d, p) {
	d_step {
		trigger[d].state == open && process[p].alive ->
		trigger[d].state = over;
		write(d, leased, trigger[d].due + 1);
		row[d].token = 1;
		row[d].acknowledged = true;
		process[p].token[d] = 1;
		commit_signal(trigger[d].xid, trigger[d].due + 1);
		trigger[d].due = 0; trigger[d].xid = 0
	}
}

active proctype Application() {
end:	do
	:: trigger_begins(0)
	:: trigger_commits(0)
	:: trigger_commits_leased(0, 0)
	:: trigger_begins(1)
	:: trigger_commits(1)
	od
}

/* --- Signals --- */

#define idle(p) (process[p].alive && !process[p].rebuild && !process[p].claiming)
#define unread(p) (signals & ~process[p].seen)

/* A signal may have been deleted that is not in the snapshot of the last read. */
#ifdef NO_WATERMARK
#define stale(p) false
#elif defined(WATERMARK_BY_XMAX)
/* wrong: looks at the highest number in the snapshot, not at what was in progress below it */
#define stale(p) (process[p].seen < bit(watermark) / 2)
#else
#define stale(p) ((process[p].seen & below(watermark)) != below(watermark))
#endif

/* Reads all signals that the last snapshot did not see. */
inline read_signals(p) {
	d_step {
		idle(p) && !stale(p) && unread(p) ->
		all = unread(p);
		for (i : 0 .. X - 1) {
			if
			:: all & bit(i) ->
				if
				:: due[i] < process[p].due -> process[p].due = due[i]
				:: else
				fi;
#ifndef NO_RESET
				if
				:: place_before(due[i]) < process[p].cursor -> process[p].cursor = place_before(due[i])
				:: else
				fi
#endif
			:: else
			fi
		}
		take_snapshot(p, all)
		forget()
	}
}

inline take_snapshot(p, read) {
#ifdef GREATEST_XID
	/* wrong: knows only the greatest xid among the signals that it has read */
	for (i : 0 .. X - 1) {
		if
		:: read & bit(i) -> process[p].seen = process[p].seen | below(i + 1)
		:: else
		fi
	}
#else
	process[p].seen = ended
#endif
}

/* Keeps the states few. A signal that everybody has read changes nothing any more, and is
   dropped. (The cleaner is something else: it may delete what is not read yet.) And the
   numbers of transactions start again behind those that everybody has seen to be over. */
inline forget() {
	all = ended;
	for (i : 0 .. P - 1) {
		all = (process[i].alive && process[i].rebuild != 1 -> all & process[i].seen : all)
	}
	signals = signals & ~all;
	for (i : 0 .. X - 1) {
		due[i] = (signals & bit(i) -> due[i] : 0)
	}
	do
	:: all & 1 ->
		all = all >> 1;
		ended = ended >> 1;
		signals = signals >> 1;
		next--;
		for (i : 0 .. X - 2) {
			due[i] = due[i + 1]
		}
		due[X - 1] = 0;
		for (i : 0 .. P - 1) {
			process[i].seen = process[i].seen >> 1;
			process[i].xid = (process[i].claiming -> process[i].xid - 1 : 0);
			process[i].settle_xid = (process[i].settling && process[i].retry -> process[i].settle_xid - 1 : 0)
		}
		for (i : 0 .. D - 1) {
			trigger[i].xid = (trigger[i].state == open -> trigger[i].xid - 1 : 0)
		}
		watermark = (watermark > 0 -> watermark - 1 : 0)
	:: else -> break
	od;
	i = 0
}

/* The cleaner deletes signals below the lowest transaction in progress, and stores that
   as the watermark, in one transaction. */
active proctype Cleaner() {
end:	do
	:: d_step {
		cleanings < CLEANINGS && (signals & ended) ->
		cleanings++;
		do
		:: ended & bit(watermark) -> watermark++
		:: else -> break
		od;
		for (i : 0 .. watermark - 1) {
			due[i] = 0
		}
		signals = signals & ~below(watermark)
	}
	od
}

/* --- The rebuild: first the snapshot for signals, then the scan --- */

inline stale_rebuilds(p) {
	d_step { idle(p) && stale(p) -> process[p].rebuild = 1 }
}

inline rebuild_begins(p) {
	d_step {
		process[p].alive && process[p].rebuild == 1 && !process[p].claiming ->
		process[p].rebuild = 2;
#ifdef SCAN_FIRST
		scan(p)
#else
		take_snapshot(p, signals)
		forget()
#endif
	}
}

inline rebuild_ends(p) {
	d_step {
		process[p].alive && process[p].rebuild == 2 ->
		process[p].rebuild = 0;
#ifdef SCAN_FIRST
		take_snapshot(p, signals)
		forget()
#else
		scan(p)
#endif
	}
}

inline scan(p) {
	process[p].cursor = 0;
	first_due(process[p].due, 0)
}

/* When the first row behind a place is due. */
inline first_due(time, place_) {
	time = NEVER;
	for (i : 0 .. D - 1) {
		if
		:: row[i].state != absent && place(i) > place_ && row[i].queued < time -> time = row[i].queued
		:: else
		fi
	}
	i = 0
}

/* --- Claims --- */

/* Selects and locks up to want due rows behind the cursor, in order, without those that
   are locked. Computes what the process will know of the lane after the commit. */
inline claim_begins(p, want) {
	d_step {
		idle(p) && process[p].due <= now ->
		process[p].next_cursor = process[p].cursor;
		for (count : 1 .. want) {
			best = NEVER;
			for (i : 0 .. D - 1) {
				if
				:: row[i].state != absent && row[i].queued <= now && row[i].lock == 0 && place(i) > process[p].next_cursor ->
					best = (best == NEVER -> i : (place(i) < place(best) -> i : best))
				:: else
				fi
			}
			if
			:: best != NEVER ->
				row[best].lock = claimer(p);
				process[p].rows = process[p].rows | bit(best);
				process[p].next_cursor = place(best)
			:: else ->
				process[p].next_cursor = place_behind(now)
			fi
		}
		for (i : 0 .. D - 1) {
			if
			:: row[i].lock != 0 && row[i].lock != claimer(p) && place(i) > process[p].cursor && place(i) <= process[p].next_cursor ->
				row[i].skipped = true
			:: else
			fi
		}
		first_due(process[p].next_due, process[p].next_cursor)
		if
		:: process[p].rows != 0 ->
			process[p].claiming = true;
			process[p].until = now + 1;
			begin(process[p].xid)
		:: else -> /* nothing to write */
			move_cursor(p);
			claim_ends(p)
		fi
	}
}

inline move_cursor(p) {
	process[p].cursor = process[p].next_cursor;
	process[p].due = process[p].next_due
}

inline claim_ends(p) {
	process[p].claiming = false;
	process[p].xid = 0; process[p].rows = 0; process[p].until = 0;
	process[p].next_due = 0; process[p].next_cursor = 0
}

inline claim_is_committed(p) {
	for (i : 0 .. D - 1) {
		if
		:: process[p].rows & bit(i) ->
			write(i, leased, process[p].until);
			row[i].token++
		:: else
		fi
	}
#ifdef NO_LEASE_SIGNAL
	rollback(process[p].xid) /* ends without a signal */
#else
	commit_signal(process[p].xid, process[p].until)
#endif
}

inline claim_is_rolled_back(p) {
	for (i : 0 .. D - 1) {
		if
		:: row[i].lock == claimer(p) -> unlock(i)
		:: else
		fi
	}
	rollback(process[p].xid)
}

inline claim_commits(p) {
	d_step {
		process[p].alive && process[p].claiming ->
		claim_is_committed(p);
		for (i : 0 .. D - 1) {
			process[p].token[i] = (process[p].rows & bit(i) -> row[i].token : process[p].token[i])
		}
		move_cursor(p);
		claim_ends(p);
		check_rows()
	}
}

/* The connection is cut before the commit, or after the commit and before its result. The
   process then leaves its cursor where it was. */
inline claim_is_cut(p, committed) {
	d_step {
		process[p].alive && process[p].claiming && cuts < CUTS ->
		cuts++;
		if
		:: committed -> claim_is_committed(p)
		:: else -> claim_is_rolled_back(p)
		fi
		claim_ends(p);
		check_rows()
	}
}

/* --- Settlements --- */

#ifdef NO_FENCE
/* wrong: whoever settles may end the lease of another */
#define fits(p, d) (row[d].state == leased)
#else
#define fits(p, d) (row[d].state == leased && row[d].token == process[p].token[d])
#endif

/* Looks for the row by id, state and token, and locks it. It waits while another one has
   locked it. */
inline settle_begins(p, d, again) {
	d_step {
		process[p].alive && !process[p].settling && process[p].token[d] && row[d].lock == 0 &&
			fits(p, d) && (!again || retries < RETRIES) ->
		row[d].lock = settler(p);
		process[p].settling = 1;
		process[p].settled = d;
		process[p].retry = again;
		if
		:: again ->
			retries++;
			begin(process[p].settle_xid)
		:: else
		fi
	}
}

/* Finds no row that fits: the lease was lost. */
inline settle_finds_nothing(p, d) {
	d_step {
		process[p].alive && !process[p].settling && process[p].token[d] && row[d].lock == 0 && !fits(p, d) ->
		process[p].token[d] = 0
	}
}

/* Deletes the row and inserts it into the log; or makes it pending again, due at once. */
inline settle_is_committed(p) {
	i = process[p].settled;
	/* Check 2: only the current lease settles. */
	assert(row[i].state == leased && row[i].token == process[p].token[i]);
	if
	:: process[p].retry ->
		write(i, pending, now);
		commit_signal(process[p].settle_xid, now)
	:: else ->
		write(i, absent, 0);
		row[i].logged++
	fi
}

inline settle_is_rolled_back(p) {
	unlock(process[p].settled);
	if
	:: process[p].retry -> rollback(process[p].settle_xid)
	:: else
	fi
}

inline settle_ends(p) {
	process[p].settling = 0; process[p].settled = 0; process[p].settle_xid = 0; process[p].retry = false
}

#if !defined(DELETE_FIRST) && !defined(LOG_FIRST)
inline settle_commits(p) {
	d_step {
		process[p].alive && process[p].settling ->
		settle_is_committed(p);
		process[p].token[process[p].settled] = 0;
		settle_ends(p);
		check_rows()
	}
}
#else
/* wrong: two transactions, one for the queue and one for the log */
inline settle_commits(p) {
	d_step {
		process[p].alive && process[p].settling ->
		i = process[p].settled;
		if
		:: process[p].retry -> settle_is_committed(p)
#ifdef DELETE_FIRST
		:: !process[p].retry && process[p].settling == 1 -> write(i, absent, 0)
		:: !process[p].retry && process[p].settling == 2 -> row[i].logged++
#else
		:: !process[p].retry && process[p].settling == 1 -> row[i].logged++
		:: !process[p].retry && process[p].settling == 2 -> write(i, absent, 0)
#endif
		fi
		if
		:: !process[p].retry && process[p].settling == 1 -> process[p].settling = 2
		:: else ->
			process[p].token[process[p].settled] = 0;
			settle_ends(p)
		fi
	}
}
#endif

/* The connection is cut. The process then settles once more. */
inline settle_is_cut(p, committed) {
	d_step {
		process[p].alive && process[p].settling == 1 && cuts < CUTS ->
		cuts++;
		if
		:: committed -> settle_is_committed(p)
		:: else -> settle_is_rolled_back(p)
		fi
		settle_ends(p);
		check_rows()
	}
}

/* --- Processes --- */

/* The process loses its memory, and its transactions are rolled back. Process 1 lives on. */
inline crash(p, for_ever) {
	d_step {
		p == 0 && process[p].alive && crashes < CRASHES ->
		crashes++;
		process[p].alive = false;
		process[p].gone = for_ever;
		if
		:: process[p].claiming -> claim_is_rolled_back(p)
		:: else
		fi
		claim_ends(p);
		if
		:: process[p].settling == 1 -> settle_is_rolled_back(p)
		:: else
		fi
		settle_ends(p);
		process[p].seen = 0; process[p].due = 0; process[p].cursor = 0; process[p].rebuild = 0;
		for (i : 0 .. D - 1) {
			process[p].token[i] = 0
		}
		forget();
		check_rows()
	}
}

inline start(p) {
	d_step {
		!process[p].alive && !process[p].gone ->
		process[p].alive = true;
		process[p].rebuild = 1
	}
}

proctype Run(byte p) {
end:	do
	:: start(p)
	:: read_signals(p)
	:: stale_rebuilds(p)
	:: rebuild_begins(p)
	:: rebuild_ends(p)
	:: claim_begins(p, 1)
	:: claim_begins(p, 2)
	:: claim_commits(p)
	:: claim_is_cut(p, false)
	:: claim_is_cut(p, true)
	:: settle_begins(p, 0, false)
	:: settle_begins(p, 0, true)
	:: settle_begins(p, 1, false)
	:: settle_begins(p, 1, true)
	:: settle_finds_nothing(p, 0)
	:: settle_finds_nothing(p, 1)
	:: settle_commits(p)
	:: settle_is_cut(p, false)
	:: settle_is_cut(p, true)
	:: crash(p, false)
	:: crash(p, true)
	od
}

/* --- Time --- */

#define waits(d) (row[d].state != absent && row[d].queued > now)
#define is_due(d) (row[d].state != absent && row[d].queued <= now)

active proctype Clock() {
	do
	:: d_step { ticks < TICKS && (waits(0) || waits(1)) -> ticks++; now++ }
	:: timeout ->
		if
		:: d_step { waits(0) || waits(1) -> now++ }
		:: d_step {
			!waits(0) && !waits(1) && (is_due(0) || is_due(1)) ->
			/* Nobody does anything although something is due, until a minute has passed. */
			/* Check 3: that may happen only to rows that were skipped under a lock which was then rolled back. */
			assert(!is_due(0) || row[0].lost);
			assert(!is_due(1) || row[1].lost);
#ifndef NO_REBUILD
			minutes++;
			assert(minutes <= MINUTES);
			for (i : 0 .. P - 1) {
				process[i].rebuild = process[i].alive
			}
			i = 0
#else
			assert(false) /* it is lost for ever */
#endif
		}
		:: d_step {
			row[0].state == absent && row[1].state == absent ->
			/* Check 1, at the end: everything is in the log. */
			assert(row[0].acknowledged && row[0].logged == 1);
			assert(row[1].acknowledged && row[1].logged == 1)
		} -> break
		fi
	od
}

init {
	atomic {
		for (i : 0 .. D - 1) {
			row[i].state = absent;
			trigger[i].state = waiting
		}
		for (i : 0 .. P - 1) {
			process[i].alive = true;
#ifdef STARTING
			process[i].rebuild = 1;
#endif
			process[i].due = NEVER
		}
		i = 0;
		run Run(0);
		run Run(1)
	}
}
