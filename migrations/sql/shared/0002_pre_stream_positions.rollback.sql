drop table sink_offsets;
