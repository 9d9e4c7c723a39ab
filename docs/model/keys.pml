/*
One ordering key of one hook in the Postgres store: which delivery is in front, and how
the next one is released. README.md says what is checked and what is left out.

Each d_step is one step that nothing interrupts: one statement of SQL, or a commit. Nobody
sees before the commit what a transaction has written. Claims, leases and the reading of
signals are the subject of claims.pml. Here, a delivery in front is pending or leased, and
a process simply knows whether there is a signal of the key that it has not handled yet.

Everything that may go wrong is bounded, so every run ends. When nothing else can happen
(timeout), every delivery must have ended. There is no rebuild each minute: nothing here
may depend on it.
*/

#define D 3 /* deliveries, in the order in which they were inserted (n) */
#define P 2 /* processes */

#ifndef CRASHES
#define CRASHES 2 /* a process dies and is started again */
#endif
#ifndef CUTS
#define CUTS 1 /* a connection is cut before its commit */
#endif
#ifndef HOLDS
#define HOLDS 1 /* a delivery is dead and held */
#endif
#ifndef CANCELS
#define CANCELS 1 /* somebody cancels a delivery that is blocked or in front */
#endif
#ifndef REDELIVERIES
#define REDELIVERIES 1
#endif

#define DEADLOCKS 1 /* the transaction that has the lock is chosen to fail in so many deadlocks, at most */

#define bit(x) (1 << (x))
#define nothing 255

/* Those that have transactions, one at a time: a trigger for each delivery, the
   processes, and the operator, who cancels and redelivers. */
#define trigger(d) (d)
#define process(p) (D + (p))
#define operator (D + P)
#define ACTORS (D + P + 1)

/* The table. */
mtype = { absent, blocked, front, held, ended };
mtype state[D]; /* as committed */
byte row_lock[D]; /* who has written the row in an open transaction: actor + 1 */
byte key_lock; /* who has the advisory lock of the key: actor + 1 */

/* The open transaction of an actor. */
mtype = { closed, written, locked, looked, ready };
typedef Transaction {
	mtype step;
	byte row; /* what it writes */
	mtype to;
	byte next /* what it releases */
}
Transaction tx[ACTORS];
#define sees(a, d) (tx[a].row == d -> tx[a].to : state[d])

bool store[D]; /* the trigger uses a transaction of the store, not one of the application */
bool over[D]; /* the trigger has been committed or rolled back */
bool alive[P];
bool scans[P]; /* has been started, and must look for a key without a delivery in front */
bool signal[P]; /* knows of a signal of the key that has to be handled */
bool handles[P]; /* its open transaction handles it */

byte crashes, cuts, holds, cancels, redeliveries, deadlocks;

/* For the checks: the deliveries that were committed when d was triggered, and those that
   have been in front or have ended. */
byte earlier[D], served;

hidden byte i, fronts, is_front;

/* --- A transaction --- */

inline begin(a, d, new_state) {
	tx[a].step = written;
	tx[a].row = d;
	tx[a].to = new_state;
	if
	:: d != nothing -> row_lock[d] = a + 1
	:: else
	fi;
#ifdef LOOK_BEFORE_LOCK
	look(a)
#endif
}

/* Waits for the lock of the key. */
inline lock(a) {
	d_step {
		tx[a].step == written &&
#ifdef NO_LOCK
		true ->
#else
		key_lock == 0 ->
		key_lock = a + 1;
#endif
		tx[a].step = locked
	}
}

/* Looks, in a new snapshot, which delivery is to be released: the first that is blocked,
   if none is pending, leased or held. */
inline look(a) {
	is_front = false;
	tx[a].next = nothing;
	for (i : 0 .. D - 1) {
		if
		:: sees(a, i) == front || sees(a, i) == held -> is_front = true
#ifdef ANY_BLOCKED
		:: sees(a, i) == blocked -> tx[a].next = i /* wrong: takes the last one */
#else
		:: sees(a, i) == blocked && tx[a].next == nothing -> tx[a].next = i
#endif
		:: else
		fi
	}
	i = 0;
	tx[a].next = (is_front -> nothing : tx[a].next)
}

inline looks(a) {
	d_step {
		tx[a].step == locked ->
#ifndef LOOK_BEFORE_LOCK
		look(a);
#endif
#ifdef EARLY_UNLOCK
		key_lock = 0;
#endif
		tx[a].step = looked
	}
}

/* Writes the row of that delivery. It waits while another transaction has written it. */
inline release(a) {
	d_step {
		tx[a].step == looked && (tx[a].next == nothing || tx[a].next == tx[a].row || row_lock[tx[a].next] == 0) ->
		tx[a].step = ready;
		if
		:: tx[a].next == nothing
		:: tx[a].next != nothing && tx[a].next == tx[a].row -> tx[a].to = front; tx[a].next = nothing
		:: tx[a].next != nothing && tx[a].next != tx[a].row && state[tx[a].next] == blocked -> row_lock[tx[a].next] = a + 1
		:: else -> tx[a].next = nothing
		fi
	}
}

inline put(d, new_state) {
	state[d] = new_state;
	row_lock[d] = 0;
	if
	:: new_state == front ->
		/* Check 4: what was committed before this one was triggered has had its turn. */
		assert(!(earlier[d] & ~served));
		served = served | bit(d)
	:: new_state == ended -> served = served | bit(d)
	:: else
	fi
}

inline commit(a) {
	d_step {
		tx[a].step == ready ->
		if
		:: tx[a].row != nothing -> put(tx[a].row, tx[a].to)
		:: else
		fi;
		if
		:: tx[a].next != nothing -> put(tx[a].next, front)
		:: else
		fi;
#ifndef NO_KEY_SIGNAL
		/* The application's transaction has released nothing, but writes a signal of the key. */
		if
		:: a < D && !store[a] ->
			for (i : 0 .. P - 1) {
				signal[i] = alive[i]
			}
		:: else
		fi;
#endif
		close(a, false);
		/* Check 4: at most one is in front. */
		fronts = 0;
		for (i : 0 .. D - 1) {
			fronts = fronts + (state[i] == front || state[i] == held)
		}
		assert(fronts <= 1)
	}
}

/* Ends a transaction. A process that could not handle the signal has still to do it. */
inline close(a, failed) {
	for (i : 0 .. D - 1) {
		row_lock[i] = (row_lock[i] == a + 1 -> 0 : row_lock[i])
	}
	key_lock = (key_lock == a + 1 -> 0 : key_lock);
	tx[a].step = closed; tx[a].row = nothing; tx[a].to = absent; tx[a].next = nothing;
	if
	:: a < D -> over[a] = true
	:: a >= D && a < D + P ->
		signal[a - D] = signal[a - D] || (failed && handles[a - D]);
		handles[a - D] = false
	:: else
	fi
}

inline is_cut(a) {
	d_step {
		tx[a].step != closed && cuts < CUTS ->
		cuts++;
		close(a, true)
	}
}

/* Who has the lock of the key waits for a row, and who has written that row waits for the
   lock of the key. PostgreSQL finds this deadlock and lets one of the two fail. */
#define holder (key_lock - 1)
#define writer (row_lock[tx[holder].next] - 1)
#define deadlock(a) (key_lock != 0 && tx[holder].step == looked && tx[holder].next != nothing && \
	row_lock[tx[holder].next] != 0 && writer != holder && tx[writer].step == written && \
	(a == holder || a == writer))

inline fails(a) {
#ifdef NO_DETECTOR
	false
#else
	d_step {
		deadlock(a) && (a == writer || deadlocks < DEADLOCKS) ->
		deadlocks = deadlocks + (a == holder);
		close(a, true)
	}
#endif
}

/* --- Those that have transactions --- */

#define inserted(d) (over[d] || tx[trigger(d)].step != closed)

inline committed_now(mask) {
	mask = 0;
	for (i : 0 .. D - 1) {
		mask = mask | (state[i] != absent -> bit(i) : 0)
	}
	i = 0
}

/* A transaction of the store inserts the delivery as blocked, and goes on with the lock. One
   of the application inserts it, too, and takes no lock. */
inline insert(d, in_store) {
	d_step {
		!inserted(d) && (d == 0 || inserted(d - 1)) ->
		store[d] = in_store;
		committed_now(earlier[d]);
		begin(trigger(d), d, blocked)
		tx[trigger(d)].step = (in_store -> written : ready);
		tx[trigger(d)].next = (in_store -> tx[trigger(d)].next : nothing)
	}
}

#define idle(p) (alive[p] && tx[process(p)].step == closed)

/* A process settles the delivery in front, for good or as dead and held. */
inline settle(p, d, new_state) {
	d_step {
		idle(p) && state[d] == front && row_lock[d] == 0 && (new_state == ended || holds < HOLDS) ->
		holds = holds + (new_state == held);
		begin(process(p), d, new_state)
	}
}

/* A process has read a signal of the key, and looks for a delivery to release. */
inline handle_signal(p) {
	d_step {
		idle(p) && signal[p] ->
		signal[p] = false;
		handles[p] = true;
		begin(process(p), nothing, absent)
	}
}

/* A process that has been started looks for a key that has blocked deliveries and none in front. */
inline scan(p) {
	d_step {
		idle(p) && scans[p] ->
		scans[p] = false;
		look(process(p))
		signal[p] = signal[p] || tx[process(p)].next != nothing;
		tx[process(p)].next = nothing
	}
}

/* A process dies, loses its memory, and is started again. */
inline crash(p) {
	d_step {
		alive[p] && crashes < CRASHES ->
		crashes++;
		close(process(p), true);
		alive[p] = false; scans[p] = false; signal[p] = false
	}
}

inline start(p) {
	d_step {
		!alive[p] ->
		alive[p] = true;
#ifndef NO_SCAN
		scans[p] = true
#endif
	}
}

/* The operator cancels. A delivery that is held is cancelled at last, if it is not redelivered. */
inline cancel(d) {
	d_step {
		tx[operator].step == closed && row_lock[d] == 0 &&
		(state[d] == held || ((state[d] == blocked || state[d] == front) && cancels < CANCELS)) ->
		cancels = cancels + (state[d] != held);
		begin(operator, d, ended)
	}
}

/* The operator redelivers what has ended, as blocked; or what is held, which stays in front. */
inline redeliver(d) {
	d_step {
		tx[operator].step == closed && row_lock[d] == 0 && redeliveries < REDELIVERIES &&
		(state[d] == ended || state[d] == held) ->
		redeliveries++;
		begin(operator, d, (state[d] == held -> front : blocked))
	}
}

inline go_on(a) {
	if
	:: lock(a)
	:: looks(a)
	:: release(a)
	:: commit(a)
	:: is_cut(a)
	:: fails(a)
	fi
}

proctype Trigger(byte d) {
end:	do
	:: insert(d, true)
	:: insert(d, false)
	:: go_on(trigger(d))
	od
}

proctype Process(byte p) {
end:	do
	:: start(p)
	:: scan(p)
	:: handle_signal(p)
	:: settle(p, 0, ended)
	:: settle(p, 1, ended)
	:: settle(p, 2, ended)
	:: settle(p, 0, held)
	:: settle(p, 1, held)
	:: settle(p, 2, held)
	:: go_on(process(p))
	:: crash(p)
	od
}

active proctype Operator() {
end:	do
	:: cancel(0)
	:: cancel(1)
	:: cancel(2)
	:: redeliver(0)
	:: redeliver(1)
	:: redeliver(2)
	:: go_on(operator)
	od
}

/* Check 4, at the end: no delivery waits for ever. One whose trigger was rolled back is absent. */
active proctype End() {
	timeout ->
	d_step {
		for (i : 0 .. D - 1) {
			assert(over[i] && (state[i] == ended || state[i] == absent))
		}
		i = 0
	}
}

init {
	atomic {
		for (i : 0 .. ACTORS - 1) {
			tx[i].step = closed; tx[i].row = nothing; tx[i].to = absent; tx[i].next = nothing
		}
		for (i : 0 .. D - 1) {
			state[i] = absent
		}
		alive[0] = true;
		alive[1] = true;
		run Trigger(0); run Trigger(1); run Trigger(2);
		run Process(0); run Process(1)
	}
}
