-- Brings files to the disk without blocking the event loop: a small process (sync-files.pl) calls fdatasync for us.
-- It is started again when it ends.

local server = require "net.server";
local unix = require "socket.unix";
local add_task = require "util.timer".add_task;
local now = require "util.time".now;

local deadline = 15; -- seconds a sync may take

local function new(module, program)
	local name = "sync.sock"; -- Prosody's working folder is its data folder; longer paths don't fit in an address
	local listener, listener_watch, helper, helper_watch;
	local input = "";
	local job; -- { left, callback, paths }
	local expected, next_answer = {}, 1; -- the job of each answer to come
	local start;

	local function finish(problem)
		local done = job;
		job = nil;
		if done then done.callback(problem); end
	end

	local function lost(reason)
		module:log("error", "The sync process is gone (%s), starting another", reason);
		if helper_watch then helper_watch:close(); end
		if helper then helper:close(); end
		helper, helper_watch, input, expected, next_answer = nil, nil, "", {}, 1;
		add_task(0.2, start);
	end

	local function ask()
		job.left = #job.paths;
		for _ = 1, job.left do expected[#expected + 1] = job; end
		helper:settimeout(5);
		local ok, problem = helper:send(table.concat(job.paths, "\n").."\n");
		helper:settimeout(0);
		if not ok then lost(problem); end
	end

	local function take_answer(line)
		local asked = expected[next_answer];
		expected[next_answer] = nil;
		next_answer = next_answer + 1;
		if next_answer > #expected then expected, next_answer = {}, 1; end
		if not asked or asked ~= job then return; end
		if line ~= "ok" then return finish(line); end
		job.left = job.left - 1;
		if job.left == 0 then finish(nil); end
	end

	local function read_answers()
		if not helper then return; end
		local data, problem, partial = helper:receive(4096);
		data = data or partial;
		if data and data ~= "" then
			local text = input..data;
			input = text:match("[^\n]*$");
			for line in text:gmatch("([^\n]*)\n") do take_answer(line); end
		end
		if problem == "closed" then lost(problem); end
	end

	local function accept()
		local client = listener:accept();
		if not client then return; end
		client:settimeout(0);
		listener_watch:close();
		listener:close();
		listener, listener_watch = nil, nil;
		os.remove(name);
		helper = client;
		helper_watch = server.watchfd(client, read_answers);
		if job then ask(); end
	end

	function start()
		os.remove(name);
		if listener_watch then listener_watch:close(); end
		if listener then listener:close(); end
		listener = unix.stream and unix.stream() or unix();
		assert(listener:bind(name));
		assert(listener:listen());
		listener:settimeout(0);
		listener_watch = server.watchfd(listener, accept);
		local function quoted(text) return "'"..text:gsub("'", "'\\''").."'"; end
		os.execute("exec perl "..quoted(program).." "..name.." </dev/null >/dev/null &");
		local mine = listener;
		add_task(3, function () if listener == mine then start(); end end);
	end

	local function sync(paths, callback)
		local this = { callback = callback, paths = paths };
		job = this;
		if helper then ask(); end
		add_task(deadline, function ()
			if job ~= this then return; end
			if helper then lost("no answer"); end
			finish("no answer from the disk in time");
		end);
	end

	-- Blocks until is_done; only for the moment of shutting down.
	local function wait(is_done, push)
		local until_time = now() + 5;
		push();
		while not is_done() and now() < until_time do
			if not helper then return; end
			helper:settimeout(0.1);
			read_answers();
			if helper then helper:settimeout(0); end
			push();
		end
	end

	start();
	return { sync = sync, wait = wait };
end

return { new = new };
