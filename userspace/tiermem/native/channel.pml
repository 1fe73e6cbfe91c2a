/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of a channel (channel.h), to be checked by spin in every interleaving:
 *
 *	spin -a -DWEATHER channel.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan
 *	spin -a -DARRIVES channel.pml && cc -O2 -o pan pan.c && ./pan -a -f
 *
 * A ring of two lines with two messages each, between hosts whose caches do not know
 * of each other. A line is loaded when it is not cached, however long ago that was; it
 * is written back and dropped whole, when that was asked for and a fence waits for it,
 * or by itself at any moment (`weather`).
 *
 * Checked: whatever the weather, a message that is taken is the next one (none lost,
 * doubled, torn or out of order); and without any, so that nothing happens by luck,
 * messages go on arriving. With LEFT_OUT=n in the environment, one write-back,
 * invalidation or fence is left out; spin then finds what goes wrong.
 */
#define SLOTS 4
#define PER_LINE 2
#define LINES 2
#define NUMBERS 8	/* messages are told apart modulo this: two laps */

#define after(number) ((number + 1) % NUMBERS)
#define less(a, b) ((a + NUMBERS - b) % NUMBERS)
#define slot(number) (number % SLOTS)
#define line(number) (slot(number) / PER_LINE)
#define place(number) (slot(number) % PER_LINE)
#define epoch(number) (1 - number / SLOTS)
#define ends_line(number) (number % PER_LINE == PER_LINE - 1)

/* What can be left out. */
#define FULL_LINE_WRITE_BACK 1
#define FLUSH_WRITE_BACK 2
#define FLUSH_FENCE 3
#define ROOM_INVALIDATE 4
#define ROOM_FENCE 5
#define STALE_INVALIDATE 6
#define STALE_FENCE 7
#define CONSUMED_WRITE_BACK 8
#define does(what) (left_out != what)

c_decl { \#include <stdlib.h> }

typedef Line {
	byte number[PER_LINE];
	bit epoch[PER_LINE]
};

byte left_out;

/* The ring: memory, the sender's cache, which it alone changes, and the receiver's. */
Line memory[LINES], written[LINES], read[LINES];
bool is_dirty[LINES], is_cached[LINES], drop_asked[LINES], back_asked[LINES];

/* The consumed count: memory, the receiver's cache, and the sender's. */
byte consumed, told, known;
bool told_is_dirty, told_back_asked, known_is_cached, known_drop_asked;

byte taken;	/* the next number to be taken */

inline copy_line(to, from)
{
	to.number[0] = from.number[0];
	to.number[1] = from.number[1];
	to.epoch[0] = from.epoch[0];
	to.epoch[1] = from.epoch[1]
}

inline write_line_back(l)
{
	copy_line(memory[l], written[l]);
	is_dirty[l] = false;
	back_asked[l] = false
}

inline load_line(l)
{
	if
	:: !is_cached[l] -> copy_line(read[l], memory[l]); is_cached[l] = true
	:: else
	fi
}

inline write_told_back()
{
	consumed = told;
	told_is_dirty = false;
	told_back_asked = false
}

inline sender_fence()
{
	d_step {
		if :: back_asked[0] -> write_line_back(0) :: else fi;
		if :: back_asked[1] -> write_line_back(1) :: else fi;
		if
		:: known_drop_asked -> known_is_cached = false; known_drop_asked = false
		:: else
		fi
	}
}

inline receiver_fence()
{
	d_step {
		if :: drop_asked[0] -> is_cached[0] = false; drop_asked[0] = false :: else fi;
		if :: drop_asked[1] -> is_cached[1] = false; drop_asked[1] = false :: else fi;
		if :: told_back_asked -> write_told_back() :: else fi
	}
}

inline flush()
{
	if
	:: is_partial && does(FLUSH_WRITE_BACK) -> back_asked[line(last)] = true
	:: else
	fi;
	is_partial = false;
	if :: does(FLUSH_FENCE) -> sender_fence() :: else fi
}

active proctype sender()
{
	byte next, last;
	bool is_partial;
	byte seen;	/* the consumed count as it was last read */

	do
	:: less(next, seen) < SLOTS ->
		d_step {
			written[line(next)].number[place(next)] = next;
			is_dirty[line(next)] = true
		}
		/* Last: the line may leave this cache at any moment. */
		d_step {
			written[line(next)].epoch[place(next)] = epoch(next);
			is_dirty[line(next)] = true;
			last = next;
			next = after(next);
			is_partial = !ends_line(last);
			if
			:: !is_partial && does(FULL_LINE_WRITE_BACK) ->
				back_asked[line(last)] = true
			:: else
			fi
		}
		if
		:: true
		:: true -> flush()
		:: true -> flush(); next == taken	/* nothing more to send for now */
		fi
	:: less(next, seen) == SLOTS ->
		flush();
		do
		:: less(next, seen) == SLOTS ->
			if :: does(ROOM_INVALIDATE) -> known_drop_asked = true :: else fi;
			if :: does(ROOM_FENCE) -> sender_fence() :: else fi;
			d_step {
				if
				:: !known_is_cached -> known = consumed; known_is_cached = true
				:: else
				fi;
				seen = known
			}
		:: else -> break
		od
	od
}

active proctype receiver()
{
	bit found;

	do
	:: d_step { load_line(line(taken)); found = read[line(taken)].epoch[place(taken)] }
		if
		:: found != epoch(taken) ->
			if
			:: does(STALE_INVALIDATE) -> drop_asked[line(taken)] = true
			:: else
			fi;
			if :: does(STALE_FENCE) -> receiver_fence() :: else fi;
			d_step {
				load_line(line(taken));
				found = read[line(taken)].epoch[place(taken)]
			}
		:: else
		fi;
		if
		:: found == epoch(taken) ->
			d_step {
				load_line(line(taken));
				assert(read[line(taken)].number[place(taken)] == taken)
			}
took:			d_step {
				if
				:: ends_line(taken) ->
					drop_asked[line(taken)] = true;
					told = after(taken);
					told_is_dirty = true;
					if
					:: does(CONSUMED_WRITE_BACK) -> told_back_asked = true
					:: else
					fi
				:: else
				fi;
				taken = after(taken)
			}
		:: else
		fi
	od
}

#ifdef WEATHER
/* What caches do by themselves. */
active proctype weather()
{
	do
	:: d_step { is_dirty[0] -> write_line_back(0) }
	:: d_step { is_dirty[1] -> write_line_back(1) }
	:: d_step { is_cached[0] -> is_cached[0] = false; drop_asked[0] = false }
	:: d_step { is_cached[1] -> is_cached[1] = false; drop_asked[1] = false }
	:: d_step { !is_cached[0] -> load_line(0) }
	:: d_step { !is_cached[1] -> load_line(1) }
	:: d_step { told_is_dirty -> write_told_back() }
	:: d_step { known_is_cached -> known_is_cached = false; known_drop_asked = false }
	:: d_step { !known_is_cached -> known = consumed; known_is_cached = true }
	od
}
#endif

init {
	c_code { now.left_out = getenv("LEFT_OUT") ? atoi(getenv("LEFT_OUT")) : 0; }
}

#ifdef ARRIVES
ltl arrives { [] <> receiver@took }
#endif
