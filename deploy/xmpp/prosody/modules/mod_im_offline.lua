-- Offline storage (spec xmpp.md §5): one file per user, a line per message, handed over in order and once, after the
-- first available presence. Everything in it is archived by the message service, too.

local lfs = require "lfs";
local st = require "util.stanza";
local jid = require "util.jid";
local new_cache = require "util.cache".new;
local now = require "util.time".now;
local records = module:require "im_records";
local read_body = module:require "im_body".read;

local folder = prosody.paths.data.."/offline";
local max_messages = module:get_option_number("im_offline_max_messages", 5000);
local max_age = module:get_option_number("im_offline_max_days", 30) * 86400;
local max_age_of_calls = 60; -- seconds

lfs.mkdir(folder);

-- What makes no sense later: signalling of calls, typing, the presence of own devices.
local never = {};
for _, range in ipairs { { 101, 102 }, { 116, 118 }, { 121, 124 }, { 130, 136 }, { 200, 201 } } do
	for kind = range[1], range[2] do never[kind] = true; end
end
local calls = { [100] = true, [110] = true, [115] = true, [120] = true };

local counts = new_cache(20000); -- user → number of lines in his file

local function path_of(username) return folder.."/"..username..".log"; end

local function each_stored(username)
	local file = io.open(path_of(username), "rb");
	return coroutine.wrap(function ()
		if not file then return; end
		for line in file:lines("L") do
			local kind, text = records.decode(line);
			if kind == "M" then
				local at, xml = text:match("^(%d+)\t(.*)$");
				coroutine.yield(line, tonumber(at) / 1000, xml);
			end
		end
		file:close();
	end);
end

local function is_too_old(at, stanza)
	local body = read_body(stanza);
	local kind = body and body.type or 0;
	if now() - at > (calls[kind] and max_age_of_calls or max_age) then return true; end
	local expires = body and body.delete_time or 0;
	if expires >= 1e11 then expires = expires / 1000; end
	return expires > 0 and expires < now();
end

local function count_of(username)
	local count = counts:get(username);
	if count then return count; end
	count = 0;
	for _ in each_stored(username) do count = count + 1; end
	counts:set(username, count);
	return count;
end

local function drop_old(username)
	local kept = {};
	for line, at, xml in each_stored(username) do
		local stanza = records.line_to_stanza(xml);
		if stanza and not is_too_old(at, stanza) then kept[#kept + 1] = line; end
	end
	local path = path_of(username);
	local file = io.open(path..".new", "wb");
	if file and file:write(table.concat(kept)) and file:close() then
		os.rename(path..".new", path);
		counts:set(username, #kept);
	end
end

local last_cleaned = new_cache(20000); -- user → when his full file was cleaned

local function append(username, line)
	local count = count_of(username);
	if count >= max_messages then
		if now() - (last_cleaned:get(username) or 0) < 60 then return false; end
		last_cleaned:set(username, now());
		drop_old(username);
		count = count_of(username);
		if count >= max_messages then return false; end
	end
	local file, problem = io.open(path_of(username), "ab");
	if file then
		file:setvbuf("full", #line + 1); -- one write: a crash leaves the line whole or absent
		local ok;
		ok, problem = file:write(line);
		local closed, close_problem = file:close();
		if ok and closed then
			counts:set(username, count + 1);
			return true;
		end
		problem = problem or close_problem;
	end
	module:log("error", "Offline message of %s can't be stored: %s", username, problem);
	return false;
end

module:hook("message/offline/handle", function (event)
	local stanza, username = event.stanza, event.username;
	if not username:match("^%d+$") then return true; end
	local body = read_body(stanza);
	if not body or never[body.type] then return true; end
	local at = now();
	append(username, records.encode("M", ("%d"):format(at * 1000 // 1), records.stanza_to_line(stanza)));
	return true;
end, 10);

-- Fired by mod_presence for the first available presence with a priority that is not negative.
module:hook("message/offline/broadcast", function (event)
	local session = event.origin;
	local username = session.username;
	if counts:get(username) == 0 then return true; end
	for _, at, xml in each_stored(username) do
		local stanza, problem = records.line_to_stanza(xml);
		if not stanza then
			module:log("error", "A stored message of %s is damaged: %s", username, problem);
		elseif not is_too_old(at, stanza) then
			if not stanza:get_child("delay", "urn:xmpp:delay") then
				stanza:tag("delay", {
					xmlns = "urn:xmpp:delay", from = module.host, stamp = os.date("!%Y-%m-%dT%H:%M:%SZ", at // 1),
				}):up();
			end
			session.send(stanza);
		end
	end
	os.remove(path_of(username));
	counts:set(username, 0);
	return true;
end, 10);

module:add_feature("msgoffline");
