-- The end of the process: nobody new is let in, streams are closed, and the message service gets what they sent. Then Prosody
-- ends as ever.

local portmanager = require "core.portmanager";
local monotonic = require "util.time".monotonic;
local log = module:depends("im_log");
local feed = module:depends("im_feed");
local streams = module:depends("im_streams");

local patience = 5; -- seconds

-- Prosody 0.12 asks for the end between any two instructions of what is running, even of the function that reads the log.
-- It has to wait for the event loop.
local shutdown, asked, since = prosody.shutdown, nil, nil;
function prosody.shutdown(...) asked = table.pack(...); end

local function let_nobody_in()
	for _, service in ipairs { "c2s", "c2s_direct_tls", "http" } do portmanager.deactivate(service); end
	log.finish(); -- what was read is counted in the last acknowledgements
	for _, stream in pairs(streams.streams) do stream:close { condition = "system-shutdown", text = asked[1] }; end
end

local function is_handed_on()
	local _, _, connected = feed.counts();
	return connected == 0 or log.counts() == 0 and log.log.released >= log.log.last;
end

module:add_timer(0.05, function ()
	if not asked then return 0.05; end
	if not since then
		since = monotonic();
		let_nobody_in();
	end
	if not is_handed_on() and monotonic() - since < patience then return 0.05; end
	prosody.main_thread:run(function () shutdown(table.unpack(asked, 1, asked.n)); end);
end);
