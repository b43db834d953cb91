(SELECT given.position::bigint FROM json_array_elements_text(CAST(:positions AS json)) AS given (position))
