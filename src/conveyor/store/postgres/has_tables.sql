-- 0: not there, 1: all is well, 2: a right is missing, 3: the transaction may not write. To find that out by trying
-- would doom the user's transaction.
SELECT CASE
           WHEN to_regclass('conveyor_meta') IS NULL THEN 0
           WHEN current_setting('transaction_read_only') = 'on' THEN 3
           WHEN has_table_privilege(to_regclass('conveyor_meta'), 'SELECT')
                AND has_table_privilege(to_regclass('conveyor_migration'), 'SELECT')
                AND has_table_privilege(to_regclass('conveyor_job'), 'SELECT')
                AND has_table_privilege(to_regclass('conveyor_job'), 'INSERT')
                AND has_sequence_privilege(to_regclass('conveyor_bell'), 'SELECT') THEN 1
           ELSE 2
       END,
       CAST(transaction_timestamp() AS text)
