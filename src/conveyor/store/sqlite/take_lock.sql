-- Changes nothing, and takes the write lock all the same: it waits for it as long as the connection is told to wait.
UPDATE conveyor_meta SET value = value WHERE name = ''
