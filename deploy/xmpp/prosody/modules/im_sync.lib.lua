-- Brings files to the disk without blocking the event loop: a small process (sync-files.pl) calls fdatasync for us. It is
-- started again when it ends, and replaced when it misses several deadlines.

local server = require "net.server";
local unix = require "socket.unix";
local add_task = require "util.timer".add_task;
local monotonic = require "util.time".monotonic;

local patience = 4; -- so many deadlines in a row, and the process is given up

-- deadline: the seconds a sync may take.
local function new(module, program, deadline)
	local address = "sync.sock"; -- Prosody's working folder is its data folder; longer paths don't fit in an address
	local listener, listener_watch, helper, helper_watch;
	local input, missed = "", 0;
	local job; -- { left, callback, paths }
	local expected, first_expected = {}, 1; -- the job of each answer to come
	local start;

	local function finish(problem)
		local callback = job.callback;
		job.callback = nil; -- its deadline holds the job for a while, but not what was written
		job = nil;
		callback(problem);
	end

	local function lost(reason)
		module:log("error", "The sync process is gone (%s), starting another", reason);
		if helper_watch then helper_watch:close(); end
		if helper then helper:close(); end
		helper, helper_watch, input, expected, first_expected, missed = nil, nil, "", {}, 1, 0;
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
		local asked = expected[first_expected];
		expected[first_expected] = nil;
		first_expected = first_expected + 1;
		if not expected[first_expected] then expected, first_expected = {}, 1; end
		missed = 0;
		if not asked or asked ~= job then return; end -- its deadline has passed
		if line ~= "ok" then return finish(line); end
		job.left = job.left - 1;
		if job.left == 0 then finish(nil); end
	end

	local function read_answers()
		if not helper then return; end
		local data, problem, partial = helper:receive(4096);
		input = input..(data or partial or "");
		local text = input;
		input = text:match("[^\n]*$");
		for line in text:gmatch("([^\n]*)\n") do take_answer(line); end
		if problem == "closed" then lost(problem); end
	end

	local function accept()
		local client = listener:accept();
		if not client then return; end
		client:settimeout(0);
		listener_watch:close();
		listener:close();
		listener, listener_watch = nil, nil;
		os.remove(address);
		helper = client;
		helper_watch = server.watchfd(client, read_answers);
		if job then ask(); end
	end

	function start()
		os.remove(address);
		if listener_watch then listener_watch:close(); end
		if listener then listener:close(); end
		listener = unix.stream and unix.stream() or unix();
		assert(listener:bind(address));
		assert(listener:listen());
		listener:settimeout(0);
		listener_watch = server.watchfd(listener, accept);
		local function quoted(text) return "'"..text:gsub("'", "'\\''").."'"; end
		os.execute("exec "..quoted(program).." "..address.." </dev/null >/dev/null &");
		local mine = listener;
		add_task(3, function () if listener == mine then start(); end end);
	end

	local function sync(paths, callback)
		local this = { callback = callback, paths = paths };
		job = this;
		if helper then ask(); end
		add_task(deadline, function ()
			if job ~= this then return; end
			missed = missed + 1;
			if helper and missed >= patience then lost("no answer"); end
			finish("no answer from the disk in time");
		end);
	end

	-- Blocks until is_done; only for the moment of shutting down.
	local function wait(is_done, push)
		local give_up = monotonic() + 5;
		push();
		while not is_done() and monotonic() < give_up and helper do
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
