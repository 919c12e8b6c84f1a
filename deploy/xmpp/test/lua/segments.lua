-- The log on the disk (im_segments): what is read back after any mixture of writes, refusals, crashes and damage.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");
local lfs = require "lfs";
local segments = tap.load("im_segments");

local runs = 0;
local function new_folder()
	runs = runs + 1;
	local folder = tap.work.."/"..runs;
	lfs.mkdir(folder);
	return folder;
end

local function open(folder, bytes) return segments.open(folder, bytes or 2000, function () return "abc"..runs; end); end

local function files_of(folder)
	local names = {};
	for name in lfs.dir(folder) do
		if name:match("%.log$") then names[#names + 1] = folder.."/"..name; end
	end
	table.sort(names);
	return names;
end

local function content_of(path)
	local file = assert(io.open(path, "rb"));
	local text = file:read("a");
	file:close();
	return text;
end

local function replace(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

-- What a reader gets: seq → text, or false for a hole. Fails when numbers are missing or come twice.
local function read_all(log, from)
	local reader, found, at = log:read_from(from or 1), {}, from or 1;
	while true do
		local seq, text, last = reader:next(log.last);
		if not seq then
			assert(not text, text);
			break;
		end
		assert(seq == at, ("after %d comes %d"):format(at - 1, seq));
		for i = seq, last or seq do found[i] = text or false; end
		at = (last or seq) + 1;
	end
	assert(at > log.last, "the reader ended at "..at.." of "..log.last);
	reader:close();
	return found;
end

local function rest(name) return "stream='s' from='1@d/r'><message xmlns='jabber:client'><body>"..name.."</body></message></entry>"; end

local function put(log, ...)
	local rests = {};
	for i, name in ipairs { ... } do rests[i] = rest(name); end
	local first = log.next;
	assert(log:write(rests));
	log:commit();
	return first;
end

local function is(found, seq, name) return found[seq] == ("<entry seq='%d' "):format(seq)..rest(name); end

do
	local folder = new_folder();
	local log = open(folder);
	put(log, "a", "b");
	put(log, "c");
	local found = read_all(log);
	tap.ok(is(found, 1, "a") and is(found, 2, "b") and is(found, 3, "c"), "entries come back in order with their numbers");
	log = open(folder);
	tap.equal(log.last, 3, "a new run knows the last number");
	put(log, "d");
	found = read_all(log);
	tap.ok(is(found, 3, "c") and is(found, 4, "d"), "and goes on behind it");
	tap.equal(open(folder).id, log.id, "the log keeps its name");
end

do
	local folder = new_folder();
	local log = open(folder);
	put(log, "a");
	assert(log:write { rest("refused") });
	tap.ok(log:void(), "a group is made void");
	put(log, "b");
	local found = read_all(log);
	tap.ok(is(found, 1, "a") and found[2] == false and is(found, 3, "b"), "a refused group is a hole");
	found = read_all(open(folder));
	tap.ok(is(found, 1, "a") and found[2] == false and is(found, 3, "b"), "also for the next run");
	log = open(folder);
	assert(log:write { rest("refused last") });
	assert(log:void());
	log = open(folder);
	tap.equal(log.last, 3, "a refused group at the end does not come back");
	for _, path in ipairs(files_of(folder)) do
		tap.ok(not content_of(path):find("refused", 1, true), "nothing of it is left in "..path:match("[^/]*$"));
	end
end

do
	local folder = new_folder();
	local log = open(folder);
	for i = 1, 100 do put(log, "entry "..i); end
	tap.ok(#files_of(folder) > 5, "the log grows in segments");
	local bytes = 0;
	for _, path in ipairs(files_of(folder)) do bytes = bytes + lfs.attributes(path, "size"); end
	tap.equal(log.bytes, bytes, "it knows its size");
	log:mark { stored = 60, released = 50 };
	log:write_marks();
	local found = read_all(log, 51);
	tap.ok(is(found, 51, "entry 51") and is(found, 100, "entry 100"), "what is not released is there");
	bytes = 0;
	for _, path in ipairs(files_of(folder)) do bytes = bytes + lfs.attributes(path, "size"); end
	tap.ok(bytes < 16000, "what is released is gone");
	tap.equal(log.bytes, bytes, "and is not counted");
	log = open(folder);
	tap.equal(log.released, 50, "a new run knows what is released");
	tap.equal(log.stored, 60, "and what is stored");
	log:mark { stored = 100, released = 100 };
	log:write_marks();
	log = open(folder);
	log = open(folder);
	tap.equal(log.next, 101, "numbers go on when all is released");
end

do
	local folder = new_folder();
	local log = open(folder, 1e6);
	for i = 1, 10 do put(log, "entry "..i); end
	local path = files_of(folder)[1];
	local text = content_of(path);
	local at = text:find("entry 10<", 1, true);
	replace(path, text:sub(1, at - 1).."X"..text:sub(at + 1));
	log = open(folder);
	tap.ok(log.last == 9 and log.next > 10, "the number of a damaged entry at the end is not used again");
	put(log, "behind");
	local found = read_all(log);
	tap.ok(found[10] == false and is(found, log.last, "behind"), "it is a hole");
	replace(path, text:sub(1, #text - 30));
	log = open(folder);
	tap.ok(log.last > 9, "a torn end of an older segment ends nothing");
end

do
	local folder = new_folder();
	local log = open(folder, 1e6);
	put(log, "a");
	local header = content_of(files_of(folder)[1]);
	replace(files_of(folder)[1], "x"..header:sub(2));
	log = open(folder, 1e6);
	local found = read_all(log);
	tap.ok(is(found, 1, "a"), "entries survive a damaged header");
end

do
	local folder = new_folder();
	local log = open(folder, 500);
	for i = 1, 30 do put(log, "entry "..i); end
	local files = files_of(folder);
	os.remove(files[3]);
	local found = read_all(log);
	local holes = 0;
	for i = 1, 30 do if not found[i] then holes = holes + 1; end end
	tap.ok(holes > 0 and holes < 10 and is(found, 30, "entry 30"), "a missing file is a hole");
end

-- Random lives of a log, against what it promised.
local seed = tonumber(os.getenv("SEED")) or os.time();
print("# seed "..seed);
math.randomseed(seed);
local problem;
for run = 1, 150 do
	local folder = new_folder();
	local log = open(folder, 600);
	local committed, refused, damaged = {}, {}, {};
	local name, released = 0, 0;
	local ok, message = xpcall(function ()
		for _ = 1, math.random(40) do
			local what = math.random(12);
			if what <= 7 then
				local rests, first = {}, log.next;
				for i = 1, math.random(4) do
					name = name + 1;
					rests[i] = rest("entry "..name);
				end
				assert(log:write(rests));
				local outcome = math.random(10);
				if outcome <= 7 then
					log:commit();
					for i, text in ipairs(rests) do
						assert(not committed[first + i - 1], "a number is used again");
						committed[first + i - 1] = text;
					end
				elseif outcome == 8 then -- the process ends before anybody hears of them: they may come or not
					local next_one = open(folder, 600);
					for i, text in ipairs(rests) do
						if first + i - 1 <= next_one.last then committed[first + i - 1] = text; end
					end
					log = next_one;
				else
					assert(log:void());
					for i, text in ipairs(rests) do refused[first + i - 1] = text; end
				end
			elseif what == 8 then
				log = open(folder, 600); -- killed
			elseif what == 9 then
				log:close();
				log = open(folder, 600);
			elseif what == 10 and log.last > released then
				released = math.random(released, log.last);
				log:mark { stored = released, released = released };
				if math.random(2) == 1 then log:write_marks(); end
			elseif what == 11 then -- a flipped byte
				local files = files_of(folder);
				local path = files[math.random(math.max(#files, 1))];
				local text = path and content_of(path) or "";
				local at = text ~= "" and math.random(#text);
				if at then
					replace(path, text:sub(1, at - 1)..string.char((text:byte(at) + math.random(255)) % 256)..text:sub(at + 1));
					for line in (text:sub(math.max(1, at - 600), at + 600)):gmatch("seq='(%d+)'") do damaged[tonumber(line)] = true; end
					log = open(folder, 600);
				end
			end
			assert(log.next > log.last);
		end
		log = open(folder, 600);
		local found = read_all(log, released + 1);
		for seq, text in pairs(found) do
			assert(not refused[seq] or text ~= ("<entry seq='%d' "):format(seq)..refused[seq], "refused "..seq.." came back");
			assert(not text or not committed[seq] or text == ("<entry seq='%d' "):format(seq)..committed[seq], "entry "..seq.." changed");
		end
		for seq in pairs(committed) do
			assert(seq <= released or found[seq] or damaged[seq], "entry "..seq.." is gone");
		end
	end, debug.traceback);
	if not ok then problem = problem or ("run %d: %s"):format(run, message); end
end
tap.ok(not problem, "any mixture of writes, refusals, crashes and damage reads back what was promised", problem);

tap.finish();
