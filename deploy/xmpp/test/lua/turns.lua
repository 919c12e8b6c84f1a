-- The turns of joins (mod_im_turns): what is kept of presence on its way to the message service.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");

local hooks, taken = {}, 0;
local open, read;
local time, planned = 100, {};
package.loaded["util.filters"] = {
	add_filter_hook = function (opened) open = opened; end,
	add_filter = function (_, _, filter) read = filter; end,
};
package.loaded["util.timer"] = { add_task = function (delay, task) table.insert(planned, { at = time + delay, run = task }); end };
package.loaded["util.time"] = { monotonic = function () return time; end };
module = {
	hook = function (_, name, handler) hooks[name] = handler; end,
	depends = function () return { taken = function () return taken; end }; end,
};
dofile(arg[1].."/mod_im_turns.lua");

local function needed()
	collectgarbage();
	collectgarbage();
	return collectgarbage("count") * 1024;
end

local seq = 0;
local function pass(count)
	local entry = { name = "presence", stream = {} };
	for _ = 1, count do
		seq = seq + 1;
		entry.stream.last_seq = seq;
		hooks["im-entry-taken"](entry);
		hooks["im-entry-settled"](entry);
		taken = seq;
	end
	return needed();
end

-- Nobody asks here whether more may be read, as where all clients come by WebSocket or BOSH.
local before = pass(1000);
local kept = pass(100000) - before;
tap.ok(kept < 10000, "nothing is kept of presence that was taken", ("%d bytes of 100,000"):format(kept));

-- What one read brings while others wait: not every "<presence" in it may be the beginning of another look at the rest.
open({ type = "c2s_unauthed" });
for _ = 1, 300 do hooks["im-entry-taken"]({ name = "presence", stream = {} }); end
local paused, resumed = 0, 0;
local function session()
	local self = { im_stream = { transport = "tcp" }, read = "", conn = {
		pause = function () paused = paused + 1; end,
		resume = function () resumed = resumed + 1; end,
	} };
	function self.data(text)
		self.read = self.read..read(text, self);
		self.im_paused_until = self.sends_too_much and time + 10;
	end
	return self;
end

-- What is planned up to a moment is done.
local function run_until(moment)
	time = moment;
	while true do
		local due = {};
		for i = #planned, 1, -1 do
			if planned[i].at <= time then table.insert(due, 1, table.remove(planned, i)); end
		end
		if not due[1] then return; end
		for _, task in ipairs(due) do task.run(); end
	end
end

local own, join = "<presence from='a'/>", "<presence id='1' to='b@c'/>";
tap.equal(read(own..join, session()), own, "presence to rooms waits, what is before it does not");
tap.equal(paused, 1, "and its stream is read no further");
local half = " type='unavailable'/>"..own;
tap.equal(read(half..join, session()), half, "also when what is read begins in the middle of a stanza");
local broken = ("<presence "):rep(819);
local from = os.clock();
for _ = 1, 10 do tap.equal(read(broken, session()), broken, "unfinished tags are read"); end
local took = (os.clock() - from) * 1000;
tap.ok(took < 200, "at once", ("%.0f ms for ten reads"):format(took));

-- What waits is read in its order, then the connection. Who sends too much rests between two pieces.
local greedy, other = session(), session();
greedy.sends_too_much = true;
local behind = "<message id='"..("x"):rep(600).."'/>";
for _, waiting in ipairs { greedy, other } do
	tap.equal(read(join, waiting), nil, "it waits");
	paused = 0;
	tap.equal(read(behind, waiting), nil, "and so does what comes behind it");
	tap.equal(paused, 1, "of which there is no more");
end
taken = seq + 300;
for i = 1, 300 do hooks["im-entry-settled"]({ name = "presence", stream = { last_seq = seq + i } }); end
run_until(time + 1);
tap.equal(other.read, join..behind, "all of it is read");
tap.equal(resumed, 3, "and its connection, as those of the two above");
tap.equal(#greedy.read, 512, "of who sends too much a piece");
run_until(time + 8);
tap.equal(#greedy.read, 512, "and no more before they have rested");
run_until(time + 2);
tap.equal(greedy.read, join..behind, "then the rest");
tap.equal(resumed, 3, "and their connection rests on");
run_until(time + 10);
tap.equal(resumed, 4, "for as long");

tap.finish();
