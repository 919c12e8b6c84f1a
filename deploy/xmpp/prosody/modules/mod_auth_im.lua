-- Logins: SASL PLAIN, decided by the user service. The password is 32 hex digits (an access token or an md5), anything else
-- is refused without asking. A service that is out of reach, or can't tell because its database is away or its key is another, is a
-- temporary failure, not a wrong password (apps forget their token then), and delays only logins.

local async = require "util.async";
local http = require "net.http";
local json = require "util.json";
local timer = require "util.timer";
local monotonic = require "util.time".monotonic;

local url = module:get_option_string("im_user_url").."/internal/xmpp/auth";
local key = module:get_option_string("im_service_key");
local per_second = module:get_option_number("im_logins_per_second");
local max_running, max_waiting = 32, 5000; -- questions at once, logins behind them
local timeout = 10; -- seconds, waiting included
local max_failures = 5; -- of one connection

local refusal = "Password not verified"; -- the text client apps know

local running, waiting, first, last = 0, {}, 1, 0;
local next_start = 0;

-- Lets waiting logins go on: so many at once, so many a second.
local pump_planned = false;
local function pump()
	pump_planned = false;
	while first <= last and running < max_running do
		local delay = next_start - monotonic();
		if delay > 0 then
			if not pump_planned then
				pump_planned = true;
				timer.add_task(delay, pump);
			end
			return;
		end
		next_start = math.max(next_start, monotonic() - 1) + 1 / per_second; -- a quiet second is made up for
		local go = waiting[first];
		waiting[first], first = nil, first + 1;
		running = running + 1;
		go();
	end
end

-- Whether an answer is about the login: success, or an error of the question (101xxxx) or of the account (104xxxx).
local function tells(answer)
	local code = type(answer) == "table" and math.tointeger(answer.resultCode);
	return code == 1 or code and (code // 10000 == 101 or code // 10000 == 104);
end

-- What the user service says of a login, or nil when it can't be had.
local function ask(question)
	if last - first + 1 >= max_waiting then return nil; end
	local give_up = monotonic() + timeout;
	local wait, go = async.waiter();
	last = last + 1;
	waiting[last] = go;
	pump();
	wait();
	local answer, problem;
	local left = give_up - monotonic();
	if left > 0 then
		local wait_for_answer, done = async.waiter();
		local finished = false;
		local function finish(body, code)
			if finished then return; end
			finished = true;
			local ok, decoded = pcall(json.decode, code == 200 and body or "");
			if ok and tells(decoded) then
				answer = decoded;
			elseif ok and type(decoded) == "table" then
				problem = ("result code %s, %s"):format(decoded.resultCode, decoded.resultMsg);
			else
				problem = code == 0 and tostring(body) or "HTTP "..tostring(code);
			end
			done();
		end
		local request = http.request(url, {
			method = "POST"; headers = { ["Content-Type"] = "application/json"; ["X-Service-Key"] = key }; body = json.encode(question);
		}, finish);
		local deadline = timer.add_task(left, function ()
			finish("timeout", 0);
			if request then http.destroy_request(request); end
		end);
		wait_for_answer();
		timer.stop(deadline);
	end
	running = running - 1;
	pump();
	if not answer then module:log("warn", "%s: %s", url, problem or "waited too long"); end
	return answer;
end

local handler = {};
local handler_mt = { __index = handler };

local function new_handler(session) return setmetatable({ session = session }, handler_mt); end

function handler:mechanisms() return { PLAIN = true }; end

function handler:select(mechanism)
	self.selected = mechanism == "PLAIN" and mechanism or nil;
	return self.selected ~= nil;
end

function handler:clean_clone() return new_handler(self.session); end

-- Some libraries send the whole JID.
local function user_of(identity)
	return identity:match("^(.*)@(.*)$") and identity:sub(-#module.host - 1) == "@"..module.host
		and identity:sub(1, -#module.host - 2) or identity;
end

local function is_user_id(text) return #text <= 10 and text:match("^[1-9]%d*$") ~= nil; end

function handler:process(message)
	local authzid, authcid, password = (message or ""):match("^([^%z]*)%z([^%z]+)%z([^%z]+)$");
	if not authcid then return "failure", "malformed-request"; end
	local user = user_of(authcid);
	if authzid ~= "" and user_of(authzid) ~= user then
		return "failure", "invalid-authzid", "Only the own account can be used";
	end
	if not is_user_id(user) or not password:match("^%x+$") or #password ~= 32 then
		return "failure", "not-authorized", refusal;
	end
	local session = self.session;
	local answer = ask { userId = math.tointeger(tonumber(user)), password = password, ip = session.ip };
	if not answer then return "failure", "temporary-auth-failure", "Accounts can't be reached"; end
	if answer.resultCode ~= 1 then return "failure", "not-authorized", refusal; end
	local data = type(answer.data) == "table" and answer.data or {};
	session.im_login = data.session and "t:"..data.session or data.passwordVersion and ("p:%d"):format(data.passwordVersion) or "";
	self.username = user;
	return "success";
end

module:hook("authentication-failure", function (event)
	local session = event.session;
	session.im_failures = (session.im_failures or 0) + 1;
	if session.im_failures >= max_failures then
		timer.add_task(0, function () -- after the answer
			if not session.destroyed then session:close { condition = "policy-violation", text = "Too many failures" }; end
		end);
	end
end);

local provider = {};
function provider.get_sasl_handler(session) return new_handler(session); end
function provider.user_exists(username) return is_user_id(username); end

module:provides("auth", provider);
