-- What GET /metrics (mod_http_openmetrics) tells of the log, its reader and the streams.

local log = module:depends("im_log");
local feed = module:depends("im_feed");
local streams = module:depends("im_streams");

local metrics = {};
for name, description in pairs {
	log_bytes = "Size of the segments on the disk",
	log_gathering_entries = "Entries on their way to the disk",
	log_unsent_entries = "Entries on the disk that were not sent on this connection of the message service",
	log_unstored_entries = "Entries on the disk that the message service has not stored",
	log_unreleased_entries = "Entries on the disk that are still wanted",
	component_connected = "Whether the message service is connected",
	streams = "Streams of clients, those without a connection included",
	streams_waiting = "Streams without a connection, which may be resumed",
} do
	metrics[name] = module:metric("gauge", "im_"..name, "", description, {}):with_labels();
end
for name, description in pairs {
	log_refused_groups = "Groups of entries that could not be written",
	log_holes = "Holes told to the message service",
} do
	metrics[name] = module:metric("counter", "im_"..name, "", description, {}):with_labels();
end

module:hook_global("stats-update", function ()
	local marks, all, waiting = log.log, 0, 0;
	for _, stream in pairs(streams.streams) do
		all, waiting = all + 1, waiting + (stream.waiting and 1 or 0);
	end
	local gathering, refused = log.counts();
	local sent, holes, connected = feed.counts();
	for name, value in pairs {
		log_bytes = marks.bytes, log_gathering_entries = gathering, log_refused_groups = refused,
		log_unsent_entries = marks.last - math.max(sent, marks.released),
		log_unstored_entries = marks.last - math.min(marks.stored, marks.last),
		log_unreleased_entries = marks.last - math.min(marks.released, marks.last),
		log_holes = holes, component_connected = connected, streams = all, streams_waiting = waiting,
	} do
		metrics[name]:set(value);
	end
end);
