drop table settings_versions;

drop table replay_ledger;
