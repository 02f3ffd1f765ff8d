-- depends: 0022_post_quotes_compressed
-- A chunk is a day, and the key begins with the symbol: a minute of all symbols was found by reading the day. Half a
-- byte a row finds it. Writers wait while the index is made.

create index quotes_l1_time on quotes_l1 using brin (ts) with (autosummarize = on);
