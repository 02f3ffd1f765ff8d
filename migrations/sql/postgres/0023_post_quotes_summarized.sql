-- depends: 0021_post_key_of_quotes
-- Pages that vacuum has not yet summarized are read by every question about a stretch of time, and vacuum comes only
-- after a fifth of the table is new: they are summarized as they fill.

alter index quotes_l1_time set (autosummarize = on);
