unnest(:id::uuid[], :token::int8[], :run_after::int8[], :enqueued_at::int8[], :started_at::int8[], :last_attempted_at::int8[],
       :finished_at::int8[], :run_time::int8[], :timeout::int8[], :runner::uuid[], :priority::int2[], :attempt::int2[],
       :max_attempts::int2[], :crashes::int2[], :state::text[], :task::text[], :queue::text[], :args::bytea[],
       :attempts::bytea[], :result::bytea[], :extras::text[], :unique_key::text[], :cancelled::text[], :progress::bytea[],
       :fingerprint::text[], :delete_after::int8[], :expires_at::int8[], :keep::int8[], :until_start::int2[])
AS given (id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout, runner, priority,
          attempt, max_attempts, crashes, state, task, queue, args, attempts, result, extras, unique_key, cancelled, progress,
          fingerprint, delete_after, expires_at, keep, until_start)
