drop table waiting_requests;

drop table job_attempts;

drop table jobs;
