/* ranks.c - what processes that compute together say to each other, over whatever carries their bytes.
 *
 * Invariant: nothing is allocated here, so that a step does not allocate. */
#include "hopscope/core.h"

#include <string.h>

uint32_t hs_ranks_count(const hs_ranks *ranks)
{
    return ranks ? ranks->n : 1;
}

hs_status hs_ranks_exchange(hs_ranks *ranks, const hs_part *send, size_t n_send, const hs_part *receive,
                            size_t n_receive, hs_error *err)
{
    if (hs_ranks_count(ranks) == 1)
        return HS_OK;
    const double started = hs_now();
    hs_status status = ranks->why.status;
    if (!ranks->lost)
        status = ranks->exchange(ranks->user, send, n_send, receive, n_receive, &ranks->why);
    ranks->seconds += hs_now() - started;
    for (size_t i = 0; i < n_send; i++)
        ranks->bytes += send[i].size;
    ranks->lost = status != HS_OK;
    if (ranks->lost && err)
        *err = ranks->why;
    return status;
}

hs_status hs_ranks_broadcast(hs_ranks *ranks, void *data, size_t size, hs_error *err)
{
    size_t start[HS_MOST_RANKS + 1];
    for (uint32_t r = 1; r <= hs_ranks_count(ranks); r++)
        start[r] = size;
    start[0] = 0;
    return hs_ranks_share(ranks, data, start, err);
}

hs_status hs_ranks_share(hs_ranks *ranks, void *data, const size_t *start, hs_error *err)
{
    const uint32_t n = hs_ranks_count(ranks);
    if (n == 1)
        return HS_OK;
    hs_part send[HS_MOST_RANKS], receive[HS_MOST_RANKS];
    size_t n_send = 0, n_receive = 0;
    for (uint32_t k = 1; k < n; k++) { /* each rank begins with another peer */
        const uint32_t to = (ranks->rank + k) % n, from = (ranks->rank + n - k) % n, own = ranks->rank;
        if (start[own + 1] > start[own])
            send[n_send++] = (hs_part){to, (char *)data + start[own], start[own + 1] - start[own]};
        if (start[from + 1] > start[from])
            receive[n_receive++] = (hs_part){from, (char *)data + start[from], start[from + 1] - start[from]};
    }
    return hs_ranks_exchange(ranks, send, n_send, receive, n_receive, err);
}

hs_status hs_ranks_agree(hs_ranks *ranks, hs_status status, hs_error *err)
{
    const uint32_t n = hs_ranks_count(ranks);
    if (n == 1)
        return status;
    int said[HS_MOST_RANKS];
    size_t start[HS_MOST_RANKS + 1];
    for (uint32_t r = 0; r <= n; r++)
        start[r] = r * sizeof *said;
    said[ranks->rank] = (int)status;
    HS_TRY(hs_ranks_share(ranks, said, start, err));
    uint32_t first = 0;
    while (first < n && said[first] == HS_OK)
        first++;
    if (first == n)
        return HS_OK;
    hs_error cause = {.status = status};
    if (err && status != HS_OK)
        cause = *err;
    for (uint32_t r = 0; r <= n; r++) /* the failure of that rank alone */
        start[r] = r <= first ? 0 : sizeof cause;
    HS_TRY(hs_ranks_share(ranks, &cause, start, err));
    if (err)
        *err = cause;
    return (hs_status)said[first];
}
