/* probe.c - measurements made at every evaluation of a run.
 *
 * Invariant: a probe cannot end a run. Its failure is said and the run goes on; only a signal that it noticed is passed on. */
#include "train/internal.h"

static void report_failure(const hs_probe *probe, const hs_probe_context *at, const hs_error *cause,
                           const hs_events *events)
{
    char text[1200], line[1300];
    hs_error_format(cause, text, sizeof text);
    snprintf(line, sizeof line, "%s: %s", probe->name, text);
    hs_event_send(events, HS_EVENT_WARNING, "probe", "probe %s at step %llu, going on without: %s", probe->name,
                  (unsigned long long)at->step, text);
    if (at->record)
        (void)hs_record_event(at->record, at->step, "probe", line,
                              NULL); /* kept for the next commit if it cannot be written */
}

hs_status hs_probe_run(const hs_probe *probe, const hs_probe_context *at, const hs_events *events, uint32_t *failed)
{
    hs_error cause = {0};
    const hs_status status = probe->run(probe->user, at, &cause);
    if (status == HS_OK || hs_status_stopped(status))
        return status;
    ++*failed;
    report_failure(probe, at, &cause, events);
    return HS_OK;
}

hs_status hs_probes_run(const hs_probe *probes, uint32_t n, const hs_probe_context *at, const hs_events *events,
                        uint32_t *failed)
{
    for (uint32_t i = 0; i < n; i++) {
        HS_TRY(hs_signals_status(at->signals));
        HS_TRY(hs_probe_run(&probes[i], at, events, failed));
    }
    return HS_OK;
}
