-- a comment
WITH a AS ( SELECT 1 AS x UNION ALL SELECT 2 ) SELECT x, 'text', x'00ff', NULL, 1.5 FROM a WHERE x IN ( 1 , 2 )