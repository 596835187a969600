"""Rank the patients of a cohort by how well their notes fit a criterion."""

from drehr_rag import AllPatients, Cohort, EhrIndex, ward

with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    everybody = AllPatients(reason="screening for a trial on anticoagulation")
    for patient in index.search_patients("atrial fibrillation", scope=everybody, k=5):
        best = patient.hits[0].chunk
        print(patient.patient_id, f"{patient.score:.2f}", best.note_id, best.section)
    few = Cohort(["p03", "p09"])
    print(index.facets("note_type", scope=few))
