"""Background jobs, their queue, schedules, the instances that are there, and which versions may use the schema.

Jobs belong to organizations. What belongs to none (ids, times and versions, nothing that anybody said) is in a schema
of its own, ``agentmem_platform``, of which a tenant sees the rows of its own queue and no other.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

JOBS = """
CREATE TABLE agentmem.jobs (
    organization_id uuid NOT NULL,
    job_id uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    arguments jsonb NOT NULL,
    once text COLLATE "C",
    priority smallint NOT NULL,
    state text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    tries integer NOT NULL,
    done bigint NOT NULL,
    total bigint,
    reason_code text,
    reason text,
    asked_by text NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (organization_id, job_id),
    CONSTRAINT job_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'discarded'))
);
CREATE INDEX jobs_in_order ON agentmem.jobs (organization_id, kind, priority, due_at, job_id)
    WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_time ON agentmem.jobs (organization_id, kind, due_at) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_once ON agentmem.jobs (organization_id, kind, once) WHERE state = 'queued';
CREATE INDEX jobs_finished ON agentmem.jobs (organization_id, finished_at) WHERE finished_at IS NOT NULL;
ALTER TABLE agentmem.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentmem.jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON agentmem.jobs
    USING (organization_id = (SELECT agentmem.current_organization()))
    WITH CHECK (organization_id = (SELECT agentmem.current_organization()));
GRANT SELECT, INSERT, UPDATE, DELETE ON agentmem.jobs TO agentmem_app;
"""

# As procrastinate 3.10 has it in its schema.sql (MIT license, copyright PeopleDoc and contributors), without what is
# not used here: notifications (each transaction that sends one waits for a lock of the whole database), a journal of
# events, periodic tasks, retries. What is finished is always deleted, and what was taken away meanwhile is no error.
QUEUE = """
CREATE TYPE agentmem_platform.procrastinate_job_status AS ENUM (
    'todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted'
);
CREATE TABLE agentmem_platform.procrastinate_workers (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    last_heartbeat timestamp with time zone NOT NULL DEFAULT NOW()
);
CREATE TABLE agentmem_platform.procrastinate_jobs (
    id bigserial PRIMARY KEY,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lock text,
    queueing_lock text,
    args jsonb DEFAULT '{}' NOT NULL,
    status agentmem_platform.procrastinate_job_status DEFAULT 'todo' NOT NULL,
    scheduled_at timestamp with time zone NULL,
    attempts integer DEFAULT 0 NOT NULL,
    abort_requested boolean DEFAULT false NOT NULL,
    worker_id bigint REFERENCES agentmem_platform.procrastinate_workers (id) ON DELETE SET NULL,
    CONSTRAINT check_not_todo_abort_requested CHECK (NOT (status = 'todo' AND abort_requested = true))
);
CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON agentmem_platform.procrastinate_jobs (queueing_lock)
    WHERE status = 'todo';
CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON agentmem_platform.procrastinate_jobs (lock)
    WHERE status = 'doing';
CREATE INDEX idx_procrastinate_jobs_worker_not_null ON agentmem_platform.procrastinate_jobs (worker_id)
    WHERE worker_id IS NOT NULL AND status = 'doing';
CREATE INDEX procrastinate_jobs_priority_idx_v1 ON agentmem_platform.procrastinate_jobs (priority DESC, id ASC)
    WHERE status = 'todo';
CREATE INDEX idx_procrastinate_workers_last_heartbeat ON agentmem_platform.procrastinate_workers (last_heartbeat);
"""

QUEUE_FUNCTIONS = """
CREATE FUNCTION agentmem_platform.procrastinate_fetch_job_v2(
    target_queue_names character varying[], p_worker_id bigint
) RETURNS agentmem_platform.procrastinate_jobs LANGUAGE plpgsql AS $$
DECLARE
    found_jobs agentmem_platform.procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM agentmem_platform.procrastinate_jobs AS jobs
            WHERE
                NOT EXISTS (
                    SELECT 1
                        FROM agentmem_platform.procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                other_jobs.status = 'doing'
                                OR (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (other_jobs.priority = jobs.priority AND other_jobs.id < jobs.id)
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY (target_queue_names))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE agentmem_platform.procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;
    RETURN found_jobs;
END $$;
CREATE FUNCTION agentmem_platform.procrastinate_finish_job_v1(
    job_id bigint, end_status agentmem_platform.procrastinate_job_status, delete_job boolean
) RETURNS void LANGUAGE sql AS $$
    DELETE FROM agentmem_platform.procrastinate_jobs WHERE id = job_id AND status = 'doing'
$$;
CREATE FUNCTION agentmem_platform.procrastinate_register_worker_v1() RETURNS TABLE (worker_id bigint)
LANGUAGE sql AS $$
    INSERT INTO agentmem_platform.procrastinate_workers DEFAULT VALUES RETURNING id
$$;
CREATE FUNCTION agentmem_platform.procrastinate_unregister_worker_v1(worker_id bigint) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM agentmem_platform.procrastinate_workers WHERE id = worker_id
$$;
CREATE FUNCTION agentmem_platform.procrastinate_update_heartbeat_v1(worker_id bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE agentmem_platform.procrastinate_workers SET last_heartbeat = now() WHERE id = worker_id
$$;
CREATE FUNCTION agentmem_platform.procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat float)
RETURNS TABLE (worker_id bigint) LANGUAGE sql AS $$
    DELETE FROM agentmem_platform.procrastinate_workers
    WHERE last_heartbeat < now() - (seconds_since_heartbeat || 'SECOND')::interval RETURNING id
$$;
"""

PLATFORM = """
CREATE TABLE agentmem_platform.schedules (
    name text COLLATE "C" PRIMARY KEY,
    next_at timestamptz NOT NULL
);
CREATE TABLE agentmem_platform.instances (
    instance_id uuid PRIMARY KEY,
    role text NOT NULL,
    version text NOT NULL,
    schema_revision text NOT NULL,
    host text NOT NULL,
    address text,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE TABLE agentmem_platform.schema_compatibility (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_revision text COLLATE "C" NOT NULL
);
INSERT INTO agentmem_platform.schema_compatibility (oldest_revision) VALUES ('0005');
GRANT SELECT ON agentmem_platform.schema_compatibility TO agentmem_app;
"""

SYSTEM = "(SELECT agentmem.acts_as_system())"
CONDITIONS = {
    "procrastinate_jobs": f"queue_name = (SELECT agentmem.current_organization())::text OR {SYSTEM}",
    "procrastinate_workers": SYSTEM,
    "schedules": SYSTEM,
    "instances": SYSTEM,
}


def upgrade() -> None:
    """Make the tables, and let the application see of the platform's what it may."""
    op.execute(JOBS)
    op.execute("CREATE SCHEMA agentmem_platform")
    op.execute("GRANT USAGE ON SCHEMA agentmem_platform TO agentmem_app")
    for script in (QUEUE, QUEUE_FUNCTIONS, PLATFORM):
        op.execute(script)
    op.execute("GRANT USAGE ON SEQUENCE agentmem_platform.procrastinate_jobs_id_seq TO agentmem_app")
    for table, condition in CONDITIONS.items():
        name = f"agentmem_platform.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_the_platform ON {name} USING ({condition}) WITH CHECK ({condition})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
