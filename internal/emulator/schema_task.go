package emulator

const systemColumns = `
	sys_id GUID(32) Sys ID
	sys_created_on glide_date_time Created
	sys_created_by string(40) Created by
	sys_updated_on glide_date_time Updated
	sys_updated_by string(40) Updated by
	sys_mod_count integer Updates
	sys_tags pseudo Tags
`

// appendOnlyColumns are those of tables whose records never change (dictionary attribute no_update).
const appendOnlyColumns = `
	sys_id GUID(32) Sys ID
	sys_created_on glide_date_time Created
	sys_created_by string(40) Created by
	sys_tags pseudo Tags
`

func (set *schemaSet) declareTasks() {
	set.declare("task", "Task", "", "number", `
		parent reference:task Parent
		made_sla boolean Made SLA
		watch_list glide_list(4000):sys_user Watch list
		upon_reject string(40)+choice Upon reject
		sys_updated_on glide_date_time Updated
		approval_history journal(4000) Approval history
		number string(40) Number
		sys_updated_by string(40) Updated by
		user_input user_input(4000) User input
		sys_created_on glide_date_time Created
		sys_domain domain_id:sys_user_group Domain
		state integer+choice State
		route_reason integer+choice Transfer reason
		sys_created_by string(40) Created by
		knowledge boolean Knowledge
		order integer Order
		contract reference:ast_contract Contract
		closed_at glide_date_time Closed
		cmdb_ci reference:cmdb_ci Configuration item
		delivery_plan reference:sc_cat_item_delivery_plan Delivery plan
		impact integer+choice Impact
		active boolean Active
		work_notes_list glide_list(4000):sys_user Work notes list
		business_service reference:cmdb_ci_service Service
		priority integer+choice Priority
		sys_domain_path domain_path(255) Domain Path
		time_worked timer Time worked
		expected_start glide_date_time Expected start
		opened_at glide_date_time Opened
		business_duration glide_duration Business duration
		group_list glide_list(4000):sys_user_group Group list
		work_end glide_date_time Actual end
		approval_set glide_date_time Approval set
		work_notes journal_input(4000) Work notes
		universal_request reference:task Universal Request
		short_description string(160) Short description
		correlation_display string(100) Correlation display
		delivery_task reference:sc_cat_item_delivery_task Delivery task
		work_start glide_date_time Actual start
		assignment_group reference:sys_user_group Assignment group
		additional_assignee_list glide_list(4000):sys_user Additional assignee list
		service_offering reference:service_offering Service offering
		sys_class_name sys_class_name(80) Task type
		closed_by reference:sys_user Closed by
		follow_up glide_date_time Follow up
		reassignment_count integer Reassignment count
		contact_type string(40)+choice Contact type
		assigned_to reference:sys_user Assigned to
		sla_due due_date SLA due
		comments_and_work_notes journal_list(4000) Comments and Work notes
		escalation integer+choice Escalation
		upon_approval string(40)+choice Upon approval
		correlation_id string(100) Correlation ID
		sys_tags pseudo Tags
		sys_mod_count integer Updates
		sys_id GUID(32) Sys ID
		activity_due due_date Activity due
		comments journal_input(4000) Additional comments
		approval string(40)+choice Approval
		due_date due_date Due date
		company reference:core_company Company
		location reference:cmn_location Location
		opened_by reference:sys_user Opened by
		urgency integer+choice Urgency
		calendar_duration glide_duration Duration
		description string(4000) Description
		task_effective_number virtual Effective number
	`)
	set.declare("incident", "Incident", "task", "", `
		caused_by reference:change_request Caused by Change
		child_incidents integer Child Incidents
		hold_reason integer+choice On hold reason
		origin_table table_name(80) Origin table
		resolved_by reference:sys_user Resolved by
		calendar_stc integer Resolve time
		origin_id document_id(32) Origin
		rfc reference:change_request Change Request
		reopened_by reference:sys_user Last reopened by
		reopened_time glide_date_time Last reopened at
		resolved_at glide_date_time Resolved
		subcategory string(40)+choice<category Subcategory
		close_code string(40)+choice Resolution code
		business_impact string(4000) Business impact
		parent_incident reference:incident Parent Incident
		business_stc integer Business resolve time
		cause string(4000) Probable cause
		reopen_count integer Reopen count
		problem_id reference:problem Problem
		caller_id reference:sys_user Caller
		incident_state integer+choice Incident state
		notify integer+choice Notify
		severity integer+choice Severity
		close_notes string(4000) Resolution notes
		category string(40)+choice Category
		u_region string(40)+choice Region
		u_score decimal(15) Satisfaction score
		u_vendor reference:core_company Vendor
	`)
	set.declare("problem", "Problem", "task", "", `
		known_error boolean Known error
		first_reported_by_task reference:task First reported by
		related_incidents integer Related Incidents
		fix_notes html(4000) Fix notes
		cause_notes html(4000) Cause notes
	`)
	set.declare("change_request", "Change Request", "task", "", `
		type string(40)+choice Type
		risk integer+choice Risk
		start_date glide_date_time Planned start date
		end_date glide_date_time Planned end date
	`)
}
