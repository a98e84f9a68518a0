"""Optuna's tables and the attributes that we keep in them. The one place that knows how the study database looks.

Reads and writes of trials go to the tables themselves: Optuna's API needs several transactions to finish a trial, one or
more queries for every trial it lists, and three or four for every parameter of a new one. New studies are made by Optuna.

trial_user_attributes     hpo:key             which slot the trial is for; written with the trial
                          hpo:outcome         how it ended; written with its final state
                          hpo:superseded_by   number of the trial that has the same key and counts
                          hpo:infeasible      complete, but a threshold is missed
trial_system_attributes   constraints:<name>  excess over a threshold, where Optuna's samplers look for it
study_user_attributes     hpo:study           the header
                          hpo:state           state, reason, since when
study_system_attributes   hpo:round:<n>       when ask opened the round, and what the sampler changed in it
"""

from optuna.storages._rdb import models
from optuna.trial import TrialState as OptunaState

from hpo_tasks.study.records import TrialState

KEY = "hpo:key"
OUTCOME = "hpo:outcome"
SUPERSEDED = "hpo:superseded_by"
INFEASIBLE = "hpo:infeasible"
HEADER = "hpo:study"
STATE = "hpo:state"
ROUND = "hpo:round:"
CONSTRAINT = "constraints:"

studies = models.StudyModel.__table__
study_user_attributes = models.StudyUserAttributeModel.__table__
study_system_attributes = models.StudySystemAttributeModel.__table__
study_directions = models.StudyDirectionModel.__table__
trials = models.TrialModel.__table__
trial_user_attributes = models.TrialUserAttributeModel.__table__
trial_system_attributes = models.TrialSystemAttributeModel.__table__
trial_params = models.TrialParamModel.__table__
trial_values = models.TrialValueModel.__table__
trial_intermediate_values = models.TrialIntermediateValueModel.__table__
trial_heartbeats = models.TrialHeartbeatModel.__table__

OF_TRIALS = (
    trial_user_attributes,
    trial_system_attributes,
    trial_params,
    trial_values,
    trial_intermediate_values,
    trial_heartbeats,
)
OF_STUDIES = (study_user_attributes, study_system_attributes, study_directions)

FINITE = models.TrialValueModel.TrialValueType.FINITE

STATES: dict[OptunaState, TrialState] = {
    OptunaState.WAITING: "waiting",
    OptunaState.RUNNING: "running",
    OptunaState.COMPLETE: "complete",
    OptunaState.PRUNED: "pruned",
    OptunaState.FAIL: "failed",
}
OPTUNA_STATES = {state: optuna for optuna, state in STATES.items()}
