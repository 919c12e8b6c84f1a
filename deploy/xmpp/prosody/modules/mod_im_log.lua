-- The log of what clients send: everything for the message service is on the disk before anything else happens to it.
--
-- Group commit: what comes in one turn of the event loop is written together and shares one sync; more gathers meanwhile.
-- Then each entry's done() runs, in the order in which they came, or its failed().

local lfs = require "lfs";
local add_task = require "util.timer".add_task;
local monotonic = require "util.time".monotonic;
local uuid = require "util.uuid".generate;
local segments = module:require "im_segments";
local new_syncer = module:require "im_sync".new;

local data = prosody.paths.data;
local max_bytes = module:get_option_number("im_log_max_bytes");
local group_entries, group_seconds = 256, 0.005; -- are written before the turn ends: it lasts while any socket has input
local slow_entries, slow_bytes = 2000, 16 * 1024 * 1024; -- waiting: then senders are read slowly
local most_entries, most_bytes = 10000, 64 * 1024 * 1024; -- waiting: then they are refused

-- Ends the start with one line.
local function refuse(why)
	io.stderr:write("Error: "..why.."\n");
	os.exit(1);
end

-- One process a folder. The lock of fcntl goes with the process, whatever ends it.
local lock, problem = io.open(data.."/lock", "a");
if not lock then refuse("XMPP_DATA_DIR can't be written: "..problem); end
if not lfs.lock(lock, "w") then refuse("Another server is running on "..data); end

local log = segments.open(data.."/log", module:get_option_number("im_log_segment_bytes"), function () return (uuid():gsub("-", "")); end);
log.unsynced[data] = true;
module:log("info", "Log %s: last entry %d, stored %d, released %d, %d bytes", log.id, log.last, log.stored, log.released, log.bytes);

local syncer = new_syncer(module, module:get_option_string("im_sync_program"), module:get_option_number("im_sync_seconds"));
local none = { n = 0, bytes = 0 };
local gathering, flying = { n = 0, bytes = 0 }, none; -- groups of { done, failed }, with their texts in rests
local flush_planned, marks_planned, failed_groups = false, false, 0;
local told_at = {}; -- when each problem was last logged

local function run(callback, ...)
	local ok, problem = xpcall(callback, debug.traceback, ...);
	if not ok then module:log("error", "After a commit: %s", problem); end
end

-- Once a minute: on a full disk every message fails.
local function tell(problem, ...)
	if monotonic() - (told_at[problem] or -60) < 60 then return; end
	told_at[problem] = monotonic();
	module:log("error", problem, ...);
end

local flush;

local function plan_flush()
	if flush_planned or flying ~= none or gathering.n == 0 then return; end
	flush_planned = true;
	add_task(0, function ()
		flush_planned = false;
		flush();
	end);
end

-- The group in flight is committed; or refused, with a problem.
local function settle(problem, is_void)
	local group, seq = flying, log.last - flying.n;
	flying = none;
	if problem then
		failed_groups = failed_groups + 1;
		tell("The log can't be written: %s. Messages are refused until it can: make room in %s, or replace its disk", problem, data);
	end
	for i = 1, group.n do
		if problem then run(group[i].failed, is_void); else run(group[i].done, seq + i); end
	end
	module:fire_event("im-log-settled");
	plan_flush();
end

function flush()
	if flying ~= none or gathering.n == 0 then return; end
	local group = gathering;
	flying, gathering = group, { n = 0, bytes = 0 };
	local paths, problem, is_void = log:write(group.rests);
	if not paths then return settle(problem, is_void); end
	syncer.sync(paths, function (failure)
		if flying ~= group then return; end
		if failure then return settle(failure, log:void()); end
		log:commit();
		settle();
	end);
end

local function write_marks()
	log:write_marks();
	marks_planned = log.marks_changed; -- not while a group is in flight
	return marks_planned and 0.01 or nil;
end

module:hook_global("server-stopped", function () log:close(); end);

-- What other modules use.

local exports = module.environment;

exports.log = log; -- id, last, stored, released, bytes: only to read; read_from()

-- Takes an entry, the rest of `<entry seq='n' `: done(seq) runs when it is on the disk, failed(is_void) when it was refused;
-- not void: it may come back, so nobody can say what became of it. Returns false when there is no room for it now.
function exports.append(rest, done, failed)
	local bytes = gathering.bytes + flying.bytes + #rest;
	if gathering.n + flying.n >= most_entries or bytes > most_bytes then return false; end
	if log.bytes + bytes > max_bytes then
		tell("The log is full: XMPP_LOG_MAX_BYTES is %d. Messages are refused until the message service takes some; its log says why it does not", max_bytes);
		return false;
	end
	if gathering.n == 0 then gathering.since, gathering.rests = monotonic(), {}; end
	gathering.n, gathering.bytes = gathering.n + 1, gathering.bytes + #rest;
	gathering[gathering.n], gathering.rests[gathering.n] = { done = done, failed = failed }, rest;
	if gathering.n >= group_entries or monotonic() - gathering.since > group_seconds then flush(); else plan_flush(); end
	return true;
end

function exports.is_slow() return gathering.n >= slow_entries or gathering.bytes >= slow_bytes; end

function exports.mark(marks)
	log:mark(marks);
	if not marks_planned then
		marks_planned = true;
		add_task(0.1, write_marks);
	end
end

-- Blocks until everything taken is settled; only for the end of the process.
function exports.finish()
	syncer.wait(function () return flying == none and gathering.n == 0; end, flush);
end

function exports.counts() return gathering.n + flying.n, failed_groups; end
