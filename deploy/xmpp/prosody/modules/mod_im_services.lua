-- Asks the user and message services: does a user exist, may A write to B. Answers are cached for a short time; a
-- service out of reach is bridged with answers up to ten minutes old. Loaded by the other modules as a dependency.
--
-- Everything here that asks must run in an async context (a client's stream has one).

local async = require "util.async";
local http = require "net.http";
local json = require "util.json";
local timer = require "util.timer";
local new_cache = require "util.cache".new;
local now = require "util.time".now;

local user_url = module:get_option_string("im_user_url");
local message_url = module:get_option_string("im_message_url");
local key = module:get_option_string("im_service_key");

local max_running = 64; -- requests at once, per service
local max_waiting = 5000;
local timeout = 10; -- seconds
local fresh = 5; -- seconds an answer is used without asking
local bridge = 600; -- seconds an answer is used when the service can't be reached

local first_user_id = 10000001; -- smaller ids are system accounts

-- One service: POST JSON, a bounded number of requests at once.
local function new_service(base)
	local running, waiting, first = 0, {}, 1;

	local function take_turn()
		if running < max_running then
			running = running + 1;
			return true;
		end
		if #waiting - first + 1 >= max_waiting then return false; end
		local wait, done = async.waiter();
		waiting[#waiting + 1] = done;
		wait();
		return true;
	end

	local function pass_turn()
		local next_one = waiting[first];
		if not next_one then
			running, waiting, first = running - 1, {}, 1;
			return;
		end
		waiting[first] = false;
		first = first + 1;
		next_one();
	end

	-- Returns the envelope {resultCode, data}, or nil when the service could not be asked.
	return function (path, payload)
		if not take_turn() then return nil, "too many requests"; end
		local wait, done = async.waiter();
		local answer, problem;
		local finished = false;
		local function finish(body, code)
			if finished then return; end
			finished = true;
			if code == 200 then
				local ok, decoded = pcall(json.decode, body);
				if ok and type(decoded) == "table" then answer = decoded; else problem = "not JSON"; end
			else
				problem = code == 0 and tostring(body) or "HTTP "..tostring(code);
			end
			done();
		end
		local request = http.request(base..path, {
			method = "POST";
			headers = { ["Content-Type"] = "application/json"; ["X-Service-Key"] = key };
			body = json.encode(payload);
		}, finish);
		local deadline = timer.add_task(timeout, function ()
			if not finished then
				finish("timeout", 0);
				if request then http.destroy_request(request); end
			end
		end);
		wait();
		timer.stop(deadline);
		pass_turn();
		if not answer then module:log("warn", "%s%s: %s", base, path, problem); end
		return answer, problem;
	end
end

local ask_user = new_service(user_url);
local ask_message = new_service(message_url);

-- Is this text and password a login of the user? Returns true, false, or nil when it can't be said.
function authenticate(user_id, password, ip)
	local answer = ask_user("/internal/xmpp/auth", { userId = math.tointeger(user_id), password = password, ip = ip });
	if not answer then return nil; end
	return answer.resultCode == 1;
end

local users = new_cache(50000); -- user id text → { state, at }

function remember_user(user_id, state)
	users:set(user_id, { state = state, at = now() });
end

-- "active", "locked", "missing", or nil when the service can't be reached and never told. Only "active" is taken from
-- the cache: who was just registered or unlocked must not wait.
function user_state(user_id)
	local number = user_id:match("^%d+$") and math.tointeger(tonumber(user_id));
	if not number then return "missing"; end
	if number < first_user_id then return "active"; end
	local known = users:get(user_id);
	if known and known.state == "active" and now() - known.at < fresh then return known.state; end
	local answer = ask_user("/internal/xmpp/user", { userId = number });
	if not answer or answer.resultCode ~= 1 or type(answer.data) ~= "table" then
		return known and now() - known.at < bridge and known.state or nil;
	end
	local exists = answer.data.exists == 1 or answer.data.exists == true;
	local state = not exists and "missing" or answer.data.status == -1 and "locked" or "active";
	remember_user(user_id, state);
	return state;
end

-- What is known without asking.
function known_user_state(user_id)
	local known = users:get(user_id);
	return known and known.state or nil;
end

local checks = new_cache(100000); -- "from to class" → { allow, condition, text, at }

-- May `from` send a message of this type to `to`? Returns { allow, condition, text } or nil when it can't be said.
-- Types of one class are decided alike. Only permissions are taken from the cache without asking: what forbade a
-- message may have changed a moment ago. With message ids the answer is about these: asked each time.
function check(from, to, kind, class, message_ids)
	local cache_key = from.." "..to.." "..class;
	local known = not message_ids and checks:get(cache_key);
	if known and known.allow and now() - known.at < fresh then return known; end
	local answer = ask_message("/internal/xmpp/check", {
		from = math.tointeger(tonumber(from)); to = math.tointeger(tonumber(to)); type = kind; messageIds = message_ids;
	});
	if not answer or answer.resultCode ~= 1 or type(answer.data) ~= "table" then
		return known and now() - known.at < bridge and known or nil;
	end
	local verdict = {
		allow = answer.data.allow == 1 or answer.data.allow == true;
		condition = answer.data.condition; text = answer.data.text; at = now();
	};
	if not message_ids then checks:set(cache_key, verdict); end
	return verdict;
end

-- Something about this user changed: nothing remembered about him is used again.
function forget_user(user_id)
	users:set(user_id, nil);
	local stale = {};
	for cache_key in checks:items() do
		local from, to = cache_key:match("^(%S+) (%S+) ");
		if from == user_id or to == user_id then stale[#stale + 1] = cache_key; end
	end
	for i = 1, #stale do checks:set(stale[i], nil); end
end
