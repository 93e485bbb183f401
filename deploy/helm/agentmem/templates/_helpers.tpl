{{- define "agentmem.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "agentmem.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "agentmem.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "agentmem.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "agentmem.selector" -}}
app.kubernetes.io/name: {{ include "agentmem.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "agentmem.labels" -}}
{{ include "agentmem.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* name, labels of a resource: (dict "root" $ "suffix" "-api" "component" "api") */ -}}
{{- define "agentmem.metadata" -}}
name: {{ include "agentmem.fullname" .root }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "agentmem.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
{{- end -}}

{{- define "agentmem.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "agentmem.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "agentmem.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Where the secret settings are: the Secret of the values, of the operator, or of the chart. */ -}}
{{- define "agentmem.settingsSecret" -}}
{{- default (printf "%s-settings" (include "agentmem.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{- define "agentmem.masterKeySecret" -}}
{{- default (printf "%s-master-key" (include "agentmem.fullname" .)) .Values.masterKey.existingSecret -}}
{{- end -}}

{{- /* The secret settings that the chart itself writes: those of the values, and the addresses of its own services. */ -}}
{{- define "agentmem.secretValues" -}}
{{- $found := deepCopy .Values.secrets.values -}}
{{- $name := include "agentmem.fullname" . -}}
{{- if .Values.postgresql.enabled -}}
{{- $password := include "agentmem.postgresqlPassword" . -}}
{{- $_ := set $found "database_url" (printf "postgresql://agentmem:%s@%s-postgresql:5432/agentmem" $password $name) -}}
{{- end -}}
{{- if .Values.redis.enabled -}}
{{- $_ := set $found "redis_url" (printf "redis://%s-redis:6379/0" $name) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "agentmem.writesSecret" -}}
{{- if not (or .Values.secrets.existingSecret .Values.secrets.externalSecret.enabled) -}}true{{- end -}}
{{- end -}}

{{- /* The names of the secret settings that pods find as files. */ -}}
{{- define "agentmem.secretNames" -}}
{{- if include "agentmem.writesSecret" . -}}
{{- include "agentmem.secretValues" . | fromJson | keys | sortAlpha | toJson -}}
{{- else -}}
{{- .Values.secrets.keys | sortAlpha | toJson -}}
{{- end -}}
{{- end -}}

{{- /* Made once, and read again at every upgrade. */ -}}
{{- define "agentmem.postgresqlPassword" -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (printf "%s-postgresql" (include "agentmem.fullname" .)) -}}
{{- if $secret -}}
{{- index $secret.data "password" | b64dec -}}
{{- else -}}
{{- if not (hasKey .Release "postgresqlPassword") -}}
{{- $_ := set .Release "postgresqlPassword" (randAlphaNum 32) -}}
{{- end -}}
{{- .Release.postgresqlPassword -}}
{{- end -}}
{{- end -}}

{{- /* Whether a job migrates: a database of the release's own is not there yet before an installation. */ -}}
{{- define "agentmem.migratesByJob" -}}
{{- if and .Values.migration.enabled (not .Values.postgresql.enabled) -}}true{{- end -}}
{{- end -}}

{{- define "agentmem.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "agentmem.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "agentmem.container" -}}
image: {{ include "agentmem.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "agentmem.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "agentmem.secretEnv" -}}
{{- range include "agentmem.secretNames" . | fromJsonArray }}
- name: AGENTMEM_{{ upper . }}_FILE
  value: /etc/agentmem/settings/{{ . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Mounts, and volumes, of a pod: (dict "root" $ "settingsSecret" "<name>" "masterKey" true) */ -}}
{{- define "agentmem.mounts" -}}
- name: settings
  mountPath: /etc/agentmem/settings
  readOnly: true
{{- if .masterKey }}
- name: master-key
  mountPath: /etc/agentmem/keys
  readOnly: true
{{- end }}
- name: data
  mountPath: /var/lib/agentmem
- name: tmp
  mountPath: /tmp
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "agentmem.volumes" -}}
- name: settings
  secret:
    secretName: {{ .settingsSecret }}
    defaultMode: 0440
{{- if .masterKey }}
- name: master-key
  secret:
    secretName: {{ include "agentmem.masterKeySecret" .root }}
    defaultMode: 0440
    items:
      - key: {{ .root.Values.masterKey.file }}
        path: master.json
{{- end }}
- name: data
  emptyDir:
    sizeLimit: 64Mi
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The pod of a Deployment: (dict "root" $ "component" "api" "values" .Values.api "container" "<name of the define>") */ -}}
{{- define "agentmem.pod" -}}
{{- $root := .root -}}
{{- $mounted := dict "root" $root "settingsSecret" (include "agentmem.settingsSecret" $root) "masterKey" true -}}
metadata:
  labels:
    {{- include "agentmem.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    agentmem/metrics: "true"
    {{- if $root.Values.mesh.istio.enabled }}
    sidecar.istio.io/inject: "true"
    {{- end }}
    {{- with .values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
    {{- if $root.Values.mesh.istio.enabled }}
    proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true, "terminationDrainDuration": "{{ $root.Values.drainSeconds }}s"}'
    {{- end }}
    {{- if $root.Values.mesh.linkerd.enabled }}
    linkerd.io/inject: enabled
    config.alpha.linkerd.io/proxy-wait-before-exit-seconds: {{ $root.Values.drainSeconds | quote }}
    {{- end }}
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "agentmem.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # What a stop takes at most, and some seconds to close the store.
  terminationGracePeriodSeconds: {{ add $root.Values.drainSeconds $root.Values.shutdownSeconds 15 }}
  securityContext:
    {{- include "agentmem.podSecurity" $root | nindent 4 }}
  containers:
    - name: {{ .component }}
      {{- include "agentmem.container" $root | nindent 6 }}
      {{- include .container $root | nindent 6 }}
      envFrom:
        - configMapRef:
            name: {{ include "agentmem.fullname" $root }}
      env:
        - name: AGENTMEM_KEY_FILE
          value: /etc/agentmem/keys/master.json
        {{- include "agentmem.secretEnv" $root | trim | nindent 8 }}
      {{- if eq .component "api" }}
        - name: AGENTMEM_RUN_JOBS
          value: {{ not $root.Values.worker.enabled | quote }}
      {{- end }}
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        {{- include "agentmem.mounts" $mounted | nindent 8 }}
  volumes:
    {{- include "agentmem.volumes" $mounted | nindent 4 }}
  {{- if $root.Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $key, $when := dict "topology.kubernetes.io/zone" $root.Values.topologySpread.zone "kubernetes.io/hostname" $root.Values.topologySpread.node }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: {{ $when }}
      labelSelector:
        matchLabels:
          {{- include "agentmem.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- /* The pod of a job: (dict "root" $ "name" "doctor" "args" (list "doctor") "resources" …). One that is "early" runs
before the release's own resources are there: it needs none of them but those that are made as early. */ -}}
{{- define "agentmem.jobPod" -}}
{{- $root := .root -}}
{{- $settings := include "agentmem.settingsSecret" $root -}}
{{- if and .early (include "agentmem.writesSecret" $root) -}}
{{- $settings = printf "%s-migrate" (include "agentmem.fullname" $root) -}}
{{- end -}}
{{- $mounted := dict "root" $root "settingsSecret" $settings "masterKey" (not .early) -}}
metadata:
  labels:
    {{- include "agentmem.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
    {{- if $root.Values.mesh.istio.enabled }}
    # A sidecar would go on when the command has ended, and the job with it.
    sidecar.istio.io/inject: "false"
    {{- end }}
  {{- if $root.Values.mesh.linkerd.enabled }}
  annotations:
    linkerd.io/inject: disabled
  {{- end }}
spec:
  restartPolicy: Never
  {{- if .early }}
  serviceAccountName: {{ include "agentmem.fullname" $root }}-migrate
  {{- else }}
  serviceAccountName: {{ include "agentmem.serviceAccount" $root }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "agentmem.podSecurity" $root | nindent 4 }}
  containers:
    - name: {{ .name }}
      {{- include "agentmem.container" $root | nindent 6 }}
      args: {{ toJson .args }}
      {{- if .early }}
      env:
        - name: AGENTMEM_LOG_LEVEL
          value: info
        {{- include "agentmem.secretEnv" $root | trim | nindent 8 }}
      {{- else }}
      envFrom:
        - configMapRef:
            name: {{ include "agentmem.fullname" $root }}
      env:
        - name: AGENTMEM_KEY_FILE
          value: /etc/agentmem/keys/master.json
        {{- include "agentmem.secretEnv" $root | trim | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        {{- include "agentmem.mounts" $mounted | nindent 8 }}
  volumes:
    {{- include "agentmem.volumes" $mounted | nindent 4 }}
{{- end -}}
