-- The end of the process: nobody new is let in, streams are closed when their clients have confirmed what they were given, and
-- the message service gets what they sent. Then Prosody ends as ever.

local portmanager = require "core.portmanager";
local monotonic = require "util.time".monotonic;
local log = module:depends("im_log");
local feed = module:depends("im_feed");
local streams = module:depends("im_streams");

-- How long (s) it may take until the message service has everything. Who gives a time waits for the message service, too, when
-- it is away: a server that is removed for good would keep what it still holds.
local given = module:get_option_number("im_end_seconds");
local patience = given or 5;
-- How long (s) clients may take to confirm what they were given. It would be given to them again on their next stream.
local confirm_within = 2;

-- Prosody 0.12 asks for the end between any two instructions of what is running, even of the function that reads the log.
-- It has to wait for the event loop.
local shutdown, asked, since = prosody.shutdown, nil, nil;
function prosody.shutdown(...) asked = table.pack(...); end

local function let_nobody_in()
	for _, service in ipairs { "c2s", "c2s_direct_tls", "http" } do portmanager.deactivate(service); end
end

local function is_connected()
	local _, _, connected = feed.counts();
	return connected == 1;
end

-- True when none is left.
local function close_streams()
	local left, is_over = 0, monotonic() - since > confirm_within or not is_connected();
	log.finish(); -- what was read is counted in the last acknowledgements
	for _, stream in pairs(streams.streams) do
		if is_over or stream.waiting or stream.confirmed >= stream.delivered then
			if not stream.ending then stream:close { condition = "system-shutdown", text = asked[1] }; end
		else
			left = left + 1;
		end
	end
	return left == 0;
end

local function is_handed_on()
	return log.counts() == 0 and log.log.released >= log.log.last;
end

local function is_worth_waiting()
	return (given or is_connected()) and monotonic() - since < patience;
end

module:add_timer(0.05, function ()
	if not asked then return 0.05; end
	if not since then
		since = monotonic();
		let_nobody_in();
	end
	if not close_streams() then return 0.05; end
	if not is_handed_on() then
		if is_worth_waiting() then return 0.05; end
		module:log("warn", "Ends with %d entries that the message service has not released: they need this data folder and one more start",
			log.log.last - math.min(log.log.released, log.log.last));
	end
	prosody.main_thread:run(function () shutdown(table.unpack(asked, 1, asked.n)); end);
end);
