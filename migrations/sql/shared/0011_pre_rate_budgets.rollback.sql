drop table rate_blocks;

drop table rate_leases;
