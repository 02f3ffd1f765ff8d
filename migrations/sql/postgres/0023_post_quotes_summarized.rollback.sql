alter index quotes_l1_time reset (autosummarize);
