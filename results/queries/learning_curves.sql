-- Learning curves: loss and validation metric by epoch, mean over the seeds that got that far.
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration, epoch,
    count(*) AS runs,
    round(avg(loss), 5) AS loss,
    round(avg(calibration), 5) AS calibration,
    round(avg(valid), 5) AS valid,
    round(avg(train_seconds), 3) AS train_seconds
FROM learning_curves
WHERE state = 'finished'
GROUP BY sweep, dataset, backbone, representation, variant, learning_curves.configuration, epoch
ORDER BY sweep, dataset, backbone, representation, variant, configuration, epoch;
