-- The turns of joins (mod_im_turns): what is kept of presence on its way to the message service.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");

local hooks, taken = {}, 0;
local open, read;
package.loaded["util.filters"] = {
	add_filter_hook = function (opened) open = opened; end,
	add_filter = function (_, _, filter) read = filter; end,
};
package.loaded["util.timer"] = { add_task = function () end };
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
local paused = 0;
local function session() return { im_stream = { transport = "tcp" }, conn = { pause = function () paused = paused + 1; end } }; end
local own, join = "<presence from='a'/>", "<presence id='1' to='b@c'/>";
tap.equal(read(own..join, session()), own, "presence to rooms waits, what is before it does not");
tap.equal(paused, 1, "and its stream is read no further");
local broken = ("<presence "):rep(819);
local from = os.clock();
for _ = 1, 10 do tap.equal(read(broken, session()), broken, "unfinished tags are read"); end
local took = (os.clock() - from) * 1000;
tap.ok(took < 200, "at once", ("%.0f ms for ten reads"):format(took));

tap.finish();
