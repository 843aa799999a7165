-- What accuracy costs: parameters, time and memory beside NDCG@10, one line per configuration and machine.
SELECT cost.sweep, cost.dataset, cost.backbone, cost.representation, cost.variant,
    substr(cost.configuration, 1, 8) AS configuration, cost.host, cost.device, cost.threads, count(*) AS runs,
    round(avg(leaderboard.value), 4) AS "NDCG@10",
    round(avg(cost.parameters)) AS parameters,
    round(avg(cost.epochs), 1) AS epochs,
    round(avg(cost.seconds_per_epoch), 2) AS seconds_per_epoch,
    round(avg(cost.cpu_seconds), 1) AS cpu_seconds,
    round(max(cost.peak_memory_mib)) AS peak_memory_mib
FROM cost
JOIN leaderboard USING (sweep, run_id)
WHERE split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
GROUP BY cost.sweep, cost.dataset, cost.backbone, cost.representation, cost.variant, cost.configuration, cost.host,
    cost.device, cost.threads
ORDER BY cost.sweep, cost.dataset, cpu_seconds;
