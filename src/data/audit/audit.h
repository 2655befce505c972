/* audit.h - the audit between its files. */
#ifndef HOPSCOPE_DATA_AUDIT_H
#define HOPSCOPE_DATA_AUDIT_H

#include "data/task.h"

/* Shortcut baselines of every test split of queries; NaN for the others. */
hs_status hs_audit_baselines(const hs_dataset *data, hs_audit_split *split, hs_error *err);
/* Those that know the trained facts, of chains; after the items are proved. */
hs_status hs_audit_fact_baselines(const hs_proof *proof, hs_audit_split *split, hs_error *err);
/* Compares the card that the dataset was read with, if any, with what the audit has found; a difference fails it. */
hs_status hs_audit_card(hs_dataset *data, hs_error *err);

#endif
